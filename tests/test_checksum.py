"""The checksum is zlib's, whoever computes it, and is there without zlib-ng."""

from __future__ import annotations

import subprocess
import sys
import zlib
from importlib.util import find_spec
from random import Random

from yoi_runtime.checksum import crc32

# What the docs of zlib and RFC 3720 agree on.
CHECK = (b"123456789", 0xCBF43926)


def test_it_is_the_checksum_of_zlib():
    random = Random(3)
    assert crc32(CHECK[0]) == CHECK[1]
    for length in (0, 1, 15, 16, 63, 64, 490, 4096, 131_072):
        data = random.randbytes(length)
        assert crc32(data) == zlib.crc32(data)
        assert crc32(memoryview(data), 12345) == zlib.crc32(data, 12345)


def test_with_zlib_ng_it_is_that_and_without_it_is_the_one_of_python():
    program = (
        "import sys; sys.modules['zlib_ng' if {away} else 'nothing'] = None\n"
        "from yoi_runtime import checksum; print(checksum.crc32.__module__, checksum.crc32(b'123456789'))"
    )
    here = "zlib_ng.zlib_ng" if find_spec("zlib_ng") is not None else "zlib"
    for away, module in ((False, here), (True, "zlib")):
        command = [sys.executable, "-c", program.format(away=away)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert said == [module, str(CHECK[1])]
