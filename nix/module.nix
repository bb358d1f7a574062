# NixOS: services.yoi runs a Runtime and serves its events.
self:
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:

let
  cfg = config.services.yoi;
  inherit (lib) mkOption types;

  toml = pkgs.formats.toml { };
  configuration = {
    data_dir = toString cfg.dataDir;
    bind = cfg.bind;
    retain_bytes = cfg.retainBytes;
    retain_age = cfg.retainAge;
    segment_bytes = cfg.segmentBytes;
    durability = cfg.durability;
  }
  // cfg.settings
  // {
    workers =
      cfg.settings.workers or { }
      // builtins.mapAttrs (
        _: worker: if builtins.isString worker then { command = worker; } else worker
      ) cfg.workers;
  };

  arguments = [
    "serve"
    "--config"
    "${toml.generate "yoi-runtime.toml" configuration}"
  ]
  ++ lib.concatMap (name: [
    "--allow-host"
    name
  ]) cfg.allowHosts
  ++ cfg.extraArguments;

  # Systemd replaces what begins with % in its settings, not only in commands.
  literal = builtins.replaceStrings [ "%" ] [ "%%" ];

  # Read by systemd as root, and shown to this unit alone: the files may be root's and closed to everybody. %d is where.
  credentials =
    lib.optional (cfg.tokenFile != null) "tokens:${literal cfg.tokenFile}"
    ++ lib.optionals (cfg.tls != null) [
      "cert:${literal cfg.tls.certificate}"
      "key:${literal cfg.tls.key}"
    ];
  # Beside the escaped arguments, because systemd is to replace %d in them.
  credentialArguments = lib.concatStringsSep " " (
    lib.optional (cfg.tokenFile != null) "--token-file %d/tokens"
    ++ lib.optional (cfg.tls != null) "--tls-cert %d/cert --tls-key %d/key"
  );
in
{
  options.services.yoi = {
    enable = lib.mkEnableOption "the Yoi runtime, which runs agent Workers and serves their events";
    package = mkOption {
      type = types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.yoi;
      defaultText = lib.literalExpression "yoi.packages.\${system}.yoi";
      description = "The package that has yoi-runtime.";
    };
    bind = mkOption {
      type = types.str;
      default = "127.0.0.1:38800";
      description = "Address to listen on.";
    };
    dataDir = mkOption {
      type = types.path;
      default = "/var/lib/yoi";
      description = ''
        Directory of the log. The default is the unit's state directory, which systemd makes. Another one must exist
        and belong to the unit's user.
      '';
    };
    retainBytes = mkOption {
      type = types.str;
      default = "1GiB";
      example = "off";
      description = "Keep at most about this many bytes of events, the oldest go first.";
    };
    retainAge = mkOption {
      type = types.str;
      default = "7d";
      example = "off";
      description = "Keep events this long.";
    };
    segmentBytes = mkOption {
      type = types.str;
      default = "16MiB";
      description = "Size of one file of the log.";
    };
    durability = mkOption {
      type = types.enum [
        "synced"
        "written"
      ];
      default = "synced";
      description = "When an event is shown: once it survives a power cut, or at once.";
    };
    workers = mkOption {
      type = types.attrsOf (types.either types.str toml.type);
      default = { };
      example = {
        clock = "/run/current-system/sw/bin/my-clock";
        coder = {
          command = [
            "/run/current-system/sw/bin/my-agent"
            "--json"
          ];
          restart = "on-failure";
        };
      };
      description = ''
        Workers by their id: a command, split into words as a shell would (no shell runs), or the keys of a table
        `[workers.NAME]` of docs/configuration.md.
      '';
    };
    settings = mkOption {
      type = toml.type;
      default = { };
      example = {
        cache_bytes = "256MiB";
      };
      description = ''
        More keys of `yoi-runtime.toml`, as in docs/configuration.md. The file is readable for all: name files with
        secrets here, not secrets.
      '';
    };
    tokenFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/etc/yoi/tokens.json";
      description = ''
        List of the tokens that are let in, made by `yoi-runtime token create`; needed to listen beyond loopback. A
        string, not a path: it must not be copied into the store. Copied for the unit at its start, so a change holds
        after a restart; give `--token-file` in extraArguments for a file that the unit's user can read itself.
      '';
    };
    tls = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            certificate = mkOption {
              type = types.str;
              description = "Certificate with its chain, PEM.";
            };
            key = mkOption {
              type = types.str;
              description = "Its key, PEM, outside of the store.";
            };
          };
        }
      );
      default = null;
      description = "Certificate and key to serve https and wss with; copied for the unit at its start.";
    };
    allowHosts = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "runtime.example" ];
      description = "More names under which the server may be addressed.";
    };
    extraArguments = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "More arguments of `yoi-runtime serve`.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services.yoi = {
      description = "Yoi runtime";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart =
          utils.escapeSystemdExecArgs ([ (lib.getExe cfg.package) ] ++ arguments) + " " + credentialArguments;
        LoadCredential = credentials;
        Type = "notify";
        NotifyAccess = "main";
        # Told every 10 s, and not while the event loop or the disk does not answer: docs/operations.md.
        WatchdogSec = 20;
        Restart = "on-failure";
        RestartSec = 1;
        # One process is asked first, so that it can stop its Workers itself and write down how they ended.
        KillMode = "mixed";
        TimeoutStopSec = 20;
        DynamicUser = true;
        StateDirectory = "yoi";
        ReadWritePaths = [ (literal (toString cfg.dataDir)) ];
        LimitNOFILE = 65536;
        # What a server of files and sockets needs, and no more. Workers live in here too: whoever runs an agent that
        # needs more of the system says so with systemd.services.yoi.serviceConfig.
        CapabilityBoundingSet = "";
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };
  };
}
