# SPDX-License-Identifier: MIT
"""
What no peer may send, whatever its role, and what it is answered: close code and reason. Frames may
come at any time; messages come behind hello unless they are in HELLOS.
"""
from peers import Frame, binary, hello, text

BEFORE_HELLO = "the first message was not hello"
NUMBER = "a number is missing, malformed or out of range"
HELLO_NUMBER = "hello with a number missing or out of range"
ERROR_CODE = "error without a negative code"
LARGEST_JSON = 4 * -(-65536 // 3) + 64  # of a communication with all of max_frame


def _frames():
    wrong = {f"RSV{i + 1}": (Frame(0x82 | 0x40 >> i), "reserved bit set") for i in range(3)}
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        wrong[f"opcode {opcode}"] = Frame(0x80 | opcode, b"x"), "reserved opcode"
    for name, opcode in {"close": 8, "ping": 9, "pong": 10}.items():
        wrong[f"fragmented {name}"] = Frame(opcode, b""), "fragmented control frame"
        wrong[f"{name} of 126 bytes"] = Frame(0x80 | opcode, b"x" * 126), "control frame too long"
    for length, form in [(0, 16), (125, 16), (126, 64), (65535, 64)]:
        wrong[f"length {length} in {form} bits"] = (
            Frame(0x82, b"", length=length, form=form),
            "frame length not in its shortest form")  # fmt: skip
    for length in (1 << 63, (1 << 64) - 1):
        name = f"length {length:#x}"
        wrong[name] = Frame(0x82, length=length), "frame length with its top bit set"
    wrong["close of one byte"] = Frame(0x88, b"\x03"), "close frame with half a code"
    wrong["continuation of nothing"] = Frame(0x80, b"x"), "continuation of no message"
    wrong["continuation of nothing, fragmented"] = Frame(0x00, b"x"), "continuation of no message"
    cases = {name: ([frame], (1002, why)) for name, (frame, why) in wrong.items()}

    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
        frame = Frame(0x88, code.to_bytes(2, "big"))
        cases[f"close code {code}"] = [frame], (1002, "close code that may not be sent")
    cases["reason that is not UTF-8"] = (
        [Frame(0x88, b"\x03\xe8\xff")], (1007, "close reason is not UTF-8"))  # fmt: skip
    for name, bad in {"cut": b"\xc3", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80",
                      "beyond Unicode": b"\xf4\x90\x80\x80", "lone": b"\x80"}.items():  # fmt: skip
        cases[f"UTF-8: {name}"] = [text(b'{"method":99,"x":"' + bad + b'"}')], (1007, "")
    cases["message within a message"] = (
        [Frame(0x01, b"{"), Frame(0x81, b"}")],
        (1002, "message begins within another one"))  # fmt: skip
    for first in (0x81, 0x82, 0x02):
        for length in (100_000, 1 << 20, 1 << 40, (1 << 63) - 1):
            name = f"message of {length:#x} bytes, first byte {first:#x}"
            cases[name] = [Frame(first, b"x", length=length)], (1009, "message too big")
    cases["message of too many fragments"] = (
        [Frame(0x01, b" " * 60_000), Frame(0x00, b"", length=60_000)],
        (1009, "message too long"))  # fmt: skip
    return cases


FRAMES = _frames()

DEEP = '{"method":99,"a":%s}'

# Texts that are wrong in either encoding.
TEXTS = {
    "array": ("[]", "not a JSON object"),
    "nothing": ("", "empty message"),
    "white space": (" \r\n\t", "not a JSON object"),
    "number": ("7", "not a JSON object"),
    "no end": ('{"method":8,"seq":1', "',' or '}' expected in a JSON object"),
    "no colon": ('{"method" 8}', "':' expected in a JSON object"),
    "no value": ('{"method":}', "JSON value expected"),
    "comma": ('{"method":8,"seq":1,}', "JSON member name expected"),
    "name without quotes": ("{method:8}", "JSON member name expected"),
    "single quotes": ("{'method':8}", "JSON member name expected"),
    "comment": ('{/**/"method":8}', "JSON member name expected"),
    "two": ('{"method":8,"seq":1}{"method":8,"seq":2}', "text behind the JSON object"),
    "byte order mark": ('\ufeff{"method":8,"seq":1}', "not a JSON object"),
    "duplicate": ('{"method":8,"seq":1,"seq":1}', "duplicate member in a JSON object"),
    "duplicate, escaped": (r'{"method":8,"seq":1,"\u0073eq":1}',
        "duplicate member in a JSON object"),
    "duplicate within": ('{"method":99,"a":{"b":1,"b":1}}', "duplicate member in a JSON object"),
    "NUL": (r'{"method":99,"a":"\u0000"}', "U+0000 in a JSON string"),
    "NUL in a name": (r'{"method\u0000":99}', "U+0000 in a JSON string"),
    "surrogate": (r'{"method":99,"a":"\ud800"}', "lone surrogate in a JSON string"),
    "low surrogate": (r'{"method":99,"a":"\udc00"}', "lone surrogate in a JSON string"),
    "escape": (r'{"method":99,"a":"\x41"}', "malformed escape in a JSON string"),
    "control character": ('{"method":99,"a":"\n"}', "control character in a JSON string"),
    "string without end": ('{"method":99,"a":"', "JSON string without end"),
    "too deep": (DEEP % ("[" * 8 + "]" * 8), "JSON nested too deep"),
    "much too deep": (DEEP % ("[" * 2000 + "]" * 2000), "JSON nested too deep"),
    "objects too deep": (DEEP % ('{"a":' * 600 + "1" + "}" * 600), "JSON nested too deep"),
    "too many members": (
        "{" + ",".join(f'"{i}":0' for i in range(33)) + "}", "too many members in a JSON object"),
    "leading zero": ('{"method":08}', "',' or '}' expected in a JSON object"),
    "plus": ('{"method":+8}', "JSON value expected"),
    "NaN": ('{"method":NaN}', "JSON value expected"),
    "no digits": ('{"method":-}', "malformed JSON number"),
    "no method": ("{}", "method is missing or no number"),
    "method in capitals": ('{"METHOD":8,"seq":1}', "method is missing or no number"),
    "method as text": ('{"method":"8","seq":1}', "method is missing or no number"),
    "method below 0": ('{"method":-8}', "method is missing or no number"),
    "method with a fraction": ('{"method":8.0,"seq":1}', "method is missing or no number"),
    "method with an exponent": ('{"method":8e0,"seq":1}', "method is missing or no number"),
    "method of 2^53": ('{"method":9007199254740992}', "method is missing or no number"),
    "ping without seq": ('{"method":8}', NUMBER),
    "ping of 2^53": ('{"method":8,"seq":9007199254740992}', NUMBER),
    "ping of 10^400": ('{"method":8,"seq":1' + "0" * 400 + "}", NUMBER),
    "ping below 0": ('{"method":8,"seq":-1}', NUMBER),
    "ping -0": ('{"method":8,"seq":-0}', NUMBER),
    "ping 1.0": ('{"method":8,"seq":1.0}', NUMBER),
    "pong of text": ('{"method":9,"seq":"1"}', NUMBER),
    "goaway without last": ('{"method":10,"error":{"code":-32008}}', NUMBER),
    "goaway without error": ('{"method":10,"last":0}', "error is not an object"),
    "handshake without id": ('{"method":1,"dest":"a:1"}', NUMBER),
    "handshake of 0": ('{"method":1,"id":0,"dest":"a:1"}', "stream id out of range"),
    "handshake of 2^53": ('{"method":1,"id":9007199254740992,"dest":"a:1"}', NUMBER),
    "handshake of 2^63": ('{"method":1,"id":9223372036854775808,"dest":"a:1"}', NUMBER),
    "destination missing": ('{"method":1,"id":1}', "malformed destination"),
    "destination empty": ('{"method":1,"id":1,"dest":""}', "malformed destination"),
    "destination null": ('{"method":1,"id":1,"dest":null}', "malformed destination"),
    "destination a number": ('{"method":1,"id":1,"dest":80}', "malformed destination"),
    "destination with a space": ('{"method":1,"id":1,"dest":"a :1"}', "malformed destination"),
    "destination with a line": (r'{"method":1,"id":1,"dest":"a\r\nb:1"}', "malformed destination"),
    "destination too long": ('{"method":1,"id":1,"dest":"%s:1"}' % ("a" * 271),
        "malformed destination"),
    "completed without id": ('{"method":2}', NUMBER),
    "completed of nothing": ('{"method":2,"id":4}', "message about a stream that was never opened"),
    "second hello": (hello(name="again").payload.decode(), "second hello"),
}  # fmt: skip

BINARIES = {
    **{f"method {m} in binary": (bytes([m, 2]), "binary message with a method that is text")
       for m in (1, 2, 4, 8, 9, 10)},
    "nothing": (b"", "empty message"),
    "communication without id": (b"\x03", "communication without data"),
    "communication with half an id": (b"\x03\x80", "communication without data"),
    "communication of 0": (b"\x03\x00x", "stream id out of range"),
    "communication of nothing": (b"\x03\x04x", "message about a stream that was never opened"),
    "communication without data": (b"\x03\x02", "communication without data"),
    "id not in its shortest form": (b"\x03\x82\x00x", "stream id out of range"),
    "id of 9 bytes": (b"\x03" + b"\xff" * 8 + b"\x01x", "stream id out of range"),
    "credit without numbers": (b"\x05", "malformed number"),
    "credit, half an id": (b"\x05\x80", "malformed number"),
    "credit, one number": (b"\x05\x02\x00", "malformed number"),
    "credit, half a number": (b"\x05\x02\x00\x80", "malformed number"),
    "credit, not the shortest": (b"\x05\x02\x80\x00\x00", "malformed number"),
    "credit of 2^53": (b"\x05\x02\x00" + b"\x80" * 7 + b"\x10", "malformed number"),
    "credit of 2^63": (b"\x05\x02\x00" + b"\x80" * 9 + b"\x01", "malformed number"),
    "credit and more": (b"\x05\x02\x00\x00\x00", "bytes behind the message"),
    "credit of 0": (b"\x05\x00\x00\x00", "stream id out of range"),
    "credit of nothing": (b"\x05\x04\x00\x00", "message about a stream that was never opened"),
    "end without offset": (b"\x06\x02", "malformed number"),
    "end and more": (b"\x06\x02\x00\x00", "bytes behind the message"),
    "end of nothing": (b"\x06\x04\x00", "message about a stream that was never opened"),
    "reset without code": (b"\x07\x02", "malformed error code"),
    "reset with code 0": (b"\x07\x02\x00", "malformed error code"),
    "reset of nothing": (b"\x07\x04\x01", "message about a stream that was never opened"),
    "reset with a text that is none": (b"\x07\x02\x01\xff", "error text not UTF-8 or too long"),
    "reset with NUL": (b"\x07\x02\x01\x00", "error text not UTF-8 or too long"),
    "reset with a long text": (b"\x07\x02\x01" + b"x" * 257, "error text not UTF-8 or too long"),
}  # fmt: skip

JSON_ONLY = {
    "binary": (binary(b"\x05\x02\x00\x00"), "binary message where all are text"),
    "data missing": (text({"method": 3, "id": 4}), "data is not base64"),
    "data of nothing": (text({"method": 3, "id": 4, "data": "eA=="}),
                        "message about a stream that was never opened"),
    "data empty": (text({"method": 3, "id": 4, "data": ""}),
                   "communication without data or with too much"),
    **{f"data {bad!r}": (text({"method": 3, "id": 4, "data": bad}), "data is not base64")
       for bad in ("a", "eA", "eA=", "eA==eA==", "e A=", "eA==\n", "eB==", "-_8=", "é===", 7,
           None)},
}  # fmt: skip


def _messages():
    cases = {}
    for name, (bad, why) in TEXTS.items():
        for encoding in ("json", "binary"):
            cases[f"{encoding}: {name}"] = encoding, [text(bad)], (1002, why)
    for name, (bad, why) in BINARIES.items():
        cases[f"binary: {name}"] = "binary", [binary(bad)], (1002, why)
    for name, (frame, why) in JSON_ONLY.items():
        cases[f"json: {name}"] = "json", [frame], (1002, why)
    for method in (3, 5, 6, 7):
        message = text({"method": method, "id": 2, "received": 0, "credit": 0, "offset": 0})
        cases[f"binary: method {method} as text"] = (
            "binary", [message], (1002, "text message with a method that is binary"))  # fmt: skip
    big = '{"method":99,"a":"%s"}'
    cases["json: ping too long"] = (
        "json", [text('{"method":8,"seq":1%s}' % (" " * 4100))],
        (1009, "message too long for its method"))  # fmt: skip
    cases["json: unknown and too long"] = (
        "json", [text(big % ("x" * 5000))], (1009, "message too long for its method"))  # fmt: skip
    too_long = (1009, "message too long")
    cases["json: longest text"] = "json", [text(" " * (LARGEST_JSON + 1))], (1009, "message too big")
    cases["json: more data than max_frame"] = (
        "json", [text({"method": 3, "id": 2, "data": "A" * 87384})],
        (1009, "more data than max_frame"))  # fmt: skip
    cases["binary: text too long"] = "binary", [text(big % ("x" * 5000))], too_long
    cases["binary: of the future and too long"] = (
        "binary", [binary(b"\x63" + b"x" * 4096)], too_long)  # fmt: skip
    return cases


MESSAGES = _messages()


def _hellos():
    wrong = {
        "not hello": (text({"method": 8, "seq": 1}), BEFORE_HELLO),
        "handshake": (text({"method": 1, "id": 1, "dest": "a:1"}), BEFORE_HELLO),
    }
    for member in ("version", "max_frame", "initial_credit", "max_streams"):
        for value in (None, -1, "1", 1.5, 1 << 53, [], {}):
            wrong[f"{member} {value!r}"] = hello(**{member: value}), HELLO_NUMBER
    for member in ("version", "max_frame", "max_streams"):
        wrong[f"{member} 2^32"] = hello(**{member: 1 << 32}), HELLO_NUMBER
    for member, values in {"version": [0], "max_frame": [0, 1023, 65537],
                           "initial_credit": [0, (1 << 31) + 1]}.items():  # fmt: skip
        for value in values:
            a = "an" if member == "initial_credit" else "a"
            why = f"hello with {a} {member} out of range"
            wrong[f"{member} {value}"] = hello(**{member: value}), why
    for value in ("", "x" * 65, "a b", "ä", "a/b", "a\n", 7, [], {}):
        wrong[f"name {value!r}"] = hello(name=value), "hello with a malformed name"
    for value in ("", "0" * 31, "0" * 33, "g" * 32, 7, []):
        why = "hello with a malformed instance"
        wrong[f"instance {value!r}"] = hello(name="a", instance=value), why
    for value in (-1, 1 << 32, "0", 0.5):
        wrong[f"conn {value!r}"] = hello(name="a", conn=value), "hello with a conn out of range"
    for value in (-1, 1 << 53, "0", 0.5):
        wrong[f"epoch {value!r}"] = hello(name="a", epoch=value), "hello with an epoch out of range"
    for value in ("x", 7, {}, [1], [[]], [None]):
        why = "hello with features that are no array of strings"
        wrong[f"features {value!r}"] = hello(features=value), why
    return wrong


HELLOS = _hellos()
