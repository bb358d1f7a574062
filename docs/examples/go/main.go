// A whole Backend client in Go, v1: backend URL WORKER STATE_DIR
//
// Prints the event_id of each event it hands over, and "! CODE" when the stream is over or events are missing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coder/websocket"
)

type diagnostic struct {
	Code         string `json:"code"`
	Recovery     string `json:"recovery"`
	RetryAfterMs int    `json:"retry_after_ms"`
}

// One frame of any kind; fields and kinds that are not here are ignored.
type frame struct {
	Kind     string `json:"kind"`
	Envelope struct {
		Cursor    string          `json:"cursor"`
		EventID   string          `json:"event_id"`
		WorkerSeq uint64          `json:"worker_seq"`
		Payload   json.RawMessage `json:"payload"` // {"event": name, "data": {…}}
	} `json:"envelope"`
	Diagnostic  diagnostic        `json:"diagnostic"`
	Frames      []json.RawMessage `json:"frames"`
	Cursor      string            `json:"cursor"`
	ResumedFrom string            `json:"resumed_from"`
	HeartbeatMs int               `json:"heartbeat_ms"`
}

var errMissing = errors.New("events are missing")

type backend struct {
	address, file, cursor string
	seen                  map[string]bool
	order                 []string // of seen, oldest first
	handedOver            int
	nextSeq               uint64 // the worker_seq that must come next; 0: any
	silence               time.Duration
	problem               diagnostic // the newest that asked for something
	ended                 bool
}

func main() {
	url, worker, state := os.Args[1], os.Args[2], os.Args[3]
	b := &backend{
		address: strings.Replace(url, "http", "ws", 1) + "/v1/workers/" + worker + "/events/ws",
		file:    filepath.Join(state, "cursor"),
		seen:    map[string]bool{},
		silence: 45 * time.Second,
	}
	if stored, err := os.ReadFile(b.file); err == nil {
		b.cursor = string(stored)
	}
	for tries := 0; ; tries++ {
		b.problem = diagnostic{}
		before := b.handedOver
		code, mayComeBack := b.follow()
		if b.ended {
			return
		}
		if b.problem.Recovery != "" {
			mayComeBack = b.problem.Recovery == "reconnect"
			code = b.problem.Code
		}
		if !mayComeBack {
			fmt.Println("!", code)
			os.Exit(1)
		}
		if b.handedOver > before {
			tries = 0
		}
		ceiling := min(30*time.Second, 200*time.Millisecond<<min(tries, 8))
		jittered := ceiling/2 + rand.N(ceiling/2)
		time.Sleep(time.Duration(b.problem.RetryAfterMs)*time.Millisecond + jittered)
	}
}

// follow reads one connection to its end and says how that was, and whether one may come back without a diagnostic.
func (b *backend) follow() (code string, mayComeBack bool) {
	start := "?from=oldest"
	if b.cursor != "" {
		start = "?cursor=" + b.cursor
	}
	background := context.Background()
	options := &websocket.DialOptions{Subprotocols: []string{"yoi.events.v1"}}
	connection, response, err := websocket.Dial(background, b.address+start+"&batch=1", options)
	if err != nil {
		return b.refused(response, err)
	}
	defer connection.CloseNow()
	connection.SetReadLimit(1 << 20)
	for {
		patience, cancel := context.WithTimeout(background, b.silence)
		_, message, err := connection.Read(patience)
		cancel()
		if err == nil {
			err = b.take(message)
		}
		if err != nil {
			status := int(websocket.CloseStatus(err))
			return fmt.Sprint(status), status < 4400 || status > 4499
		}
	}
}

// refused reads an HTTP answer that is no upgrade.
func (b *backend) refused(response *http.Response, err error) (string, bool) {
	if response == nil {
		return err.Error(), true
	}
	var body frame
	if json.NewDecoder(response.Body).Decode(&body) == nil {
		b.problem = body.Diagnostic
	}
	status := response.StatusCode
	return response.Status, status >= 500 || status == 404 || status == 408 || status == 429
}

func (b *backend) take(message []byte) error {
	var kind struct{ Kind string }
	if err := json.Unmarshal(message, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "event", "batch", "hello", "bookmark", "caught_up", "end", "diagnostic":
	default:
		return nil // of a newer version
	}
	var f frame
	if err := json.Unmarshal(message, &f); err != nil {
		return err
	}
	switch f.Kind {
	case "batch":
		for _, one := range f.Frames {
			if err := b.take(one); err != nil {
				return err
			}
		}
	case "event":
		return b.event(f)
	case "hello":
		b.silence = 3 * time.Duration(f.HeartbeatMs) * time.Millisecond
		return b.store(f.ResumedFrom)
	case "bookmark", "caught_up":
		return b.store(f.Cursor)
	case "end":
		b.ended = true
	case "diagnostic":
		if f.Diagnostic.Code == "runtime.record_corrupt" { // the stream goes on behind the damage
			b.nextSeq = 0
			fmt.Println("!", f.Diagnostic.Code)
		}
		if f.Diagnostic.Recovery != "" && f.Diagnostic.Recovery != "none" {
			b.problem = f.Diagnostic
		}
	}
	return nil
}

func (b *backend) event(f frame) error {
	id := f.Envelope.EventID
	if b.seen[id] {
		return nil
	}
	if b.nextSeq != 0 && f.Envelope.WorkerSeq != b.nextSeq {
		return errMissing // come back for them
	}
	fmt.Println(id) // your work goes here; the cursor is stored after it
	b.handedOver++
	b.nextSeq = f.Envelope.WorkerSeq + 1
	b.seen[id] = true
	if b.order = append(b.order, id); len(b.order) > 4096 {
		delete(b.seen, b.order[0])
		b.order = b.order[1:]
	}
	return b.store(f.Envelope.Cursor)
}

func (b *backend) store(cursor string) error {
	b.cursor = cursor
	if err := os.WriteFile(b.file+".new", []byte(cursor), 0o600); err != nil {
		return err
	}
	return os.Rename(b.file+".new", b.file)
}
