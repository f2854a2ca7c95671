"""One capture of every protocol, built by hand; tests read them, and fuzzing begins from them."""

from __future__ import annotations

import struct

from wire import MAC_A, MAC_B, A, B, ethernet, mac, session, tcp, udp


def enip(command: int, body: bytes, context: bytes = b"12345678") -> bytes:
    return struct.pack("<HHII8sI", command, len(body), 7, 0, context, 0) + body


def cip_identity(vendor: int, kind: int, revision: tuple[int, int], serial: int, name: bytes) -> bytes:
    return struct.pack("<HHHBBHIB", vendor, kind, 54, *revision, 0x60, serial, len(name)) + name


def rr_data(message: bytes) -> bytes:
    return struct.pack("<IHHHHHH", 0, 10, 2, 0, 0, 0xB2, len(message)) + message


def through_slot(slot: int, message: bytes) -> bytes:
    """CIP's Unconnected Send along port 1, the backplane."""
    odd = bytes(len(message) % 2)
    return (
        b"\x52\x02\x20\x06\x24\x01\x0a\x0e" + struct.pack("<H", len(message)) + message + odd + bytes((1, 0, 1, slot))
    )


def list_identity() -> list[bytes]:
    item = struct.pack("<H", 1) + bytes(16) + cip_identity(1, 14, (20, 11), 0xC0FFEE, b"1756-L61/B LOGIX5561") + b"\3"
    answer = enip(0x63, struct.pack("<HHH", 1, 0x0C, len(item)) + item)
    return [udp((A, 5000), ("10.0.0.255", 44818), enip(0x63, b"")), udp((B, 44818), (A, 5000), answer)]


def backplane() -> list[bytes]:
    turns = []
    for slot, name in enumerate((b"1756-L61/B LOGIX5561", b"1756-ENBT/A", b"MVI56")):
        context = b"ctx" + bytes((slot,)) + bytes(4)
        ask = through_slot(slot, b"\x01\x02\x20\x01\x24\x01")
        answer = b"\x81\0\0\0" + cip_identity((1, 1, 309)[slot], (14, 12, 12)[slot], (4, 7), 0x100 + slot, name)
        turns += [(">", enip(0x6F, rr_data(ask), context)), ("<", enip(0x6F, rr_data(answer), context))]
    return session(44818, *turns)


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def modbus_identification() -> list[bytes]:
    objects = ((0, b"Example Works"), (1, b"EX-100"), (2, b"V1.2.3"), (5, b"Example 100"))
    body = b"\x2b\x0e\x02\x82\0\0" + bytes((len(objects),)) + b"".join(bytes((n, len(v))) + v for n, v in objects)
    return session(
        502,
        (">", mbap(1, 1, b"\x2b\x0e\x02\x00")), ("<", mbap(1, 1, body)),
        (">", mbap(2, 1, b"\x03\x00\x00\x00\x01")), ("<", mbap(2, 1, b"\x03\x02\x00\x07")),
        (">", mbap(3, 1, b"\x06\x00\x00\x00\x09")), ("<", mbap(3, 1, b"\x06\x00\x00\x00\x09")),
    )  # fmt: skip


def umas() -> list[bytes]:
    name = b"140 CPU 311 10"
    body = b"\x5a\0\xfe" + bytes(8) + b"\x70\x02" + bytes(12) + bytes((len(name),)) + name + bytes(4)
    return session(502, (">", mbap(9, 0, b"\x5a\0\x02")), ("<", mbap(9, 0, body)))


def tpkt(payload: bytes) -> bytes:
    return struct.pack(">BBH", 3, 0, len(payload) + 7) + b"\x02\xf0\x80" + payload


def szl(kind: int, size: int, records: dict[int, bytes]) -> bytes:
    body = b"".join(struct.pack(">H", index) + value.ljust(size - 2, b"\0") for index, value in records.items())
    data = struct.pack(">HHHH", kind, 0, size, len(records)) + body
    parameters = b"\0\x01\x12\x08\x12\x84\x01\x01\0\0\0\0"
    head = struct.pack(">BBHHHH", 0x32, 7, 0, 5, len(parameters), len(data) + 4)
    return tpkt(head + parameters + b"\xff\x09" + struct.pack(">H", len(data)) + data)


def s7() -> list[bytes]:
    ask = tpkt(
        struct.pack(">BBHHHH", 0x32, 7, 0, 5, 8, 8) + b"\0\x01\x12\x04\x11\x44\x01\0" + b"\xff\x09\0\4\0\x11\0\0"
    )
    order = b"6ES7 315-2EH14-0AB0 "
    firmware = b" " * 20 + b"\0\xc0V\x03\x02\x06"
    names = {
        1: b"STATION",
        2: b"PLC_1",
        4: b"Original Siemens Equipment",
        5: b"S C-C2UR28922012",
        7: b"CPU 315-2 PN/DP",
    }
    job = tpkt(struct.pack(">BBHHHH", 0x32, 1, 0, 6, 2, 0) + b"\x05\x01")
    stop = tpkt(struct.pack(">BBHHHH", 0x32, 1, 0, 7, 2, 0) + b"\x29\x00")
    return session(
        102,
        (">", ask), ("<", szl(0x11, 28, {1: order + b"\0\xc0\0\4\0\1", 7: firmware})),
        (">", ask), ("<", szl(0x1C, 34, names)),
        (">", job), (">", stop),
    )  # fmt: skip


def s7_plus() -> list[bytes]:
    head = b"\x72\x01\0\x40\x32\0\0\x04\xca\0\0\0\1"
    return session(102, ("<", tpkt(head + bytes(9) + b"\x15\x1b1;6ES7 211-1BE31-0XB0 ;V3.0\xa3\x82" + bytes(8))))


def dcp() -> list[bytes]:
    def block(option: int, sub: int, value: bytes, info: bytes = b"\0\0") -> bytes:
        inner = info + value
        return struct.pack(">BBH", option, sub, len(inner)) + inner + bytes(len(inner) % 2)

    sought = block(2, 2, b"versamax", b"")
    ask = b"\xfe\xfe\x05\0\0\0\0\1\0\1" + struct.pack(">H", len(sought)) + sought
    blocks = block(2, 1, b"ET200S") + block(2, 2, b"press-4") + block(2, 3, b"\0\x2a\x03\x01") + block(2, 4, b"\1\0")
    blocks += block(1, 2, bytes((192, 168, 0, 6, 255, 255, 255, 0, 192, 168, 0, 1)), b"\0\1")
    answer = b"\xfe\xff\x05\1\0\0\0\1\0\0" + struct.pack(">H", len(blocks)) + blocks
    rename = block(2, 2, b"other", b"\0\1")
    change = b"\xfe\xfd\x04\0\0\0\0\2\0\0" + struct.pack(">H", len(rename)) + rename
    return [
        ethernet(0x8892, ask, MAC_A, "01:0e:cf:00:00:00"),
        ethernet(0x8892, answer, MAC_B, MAC_A),
        ethernet(0x8892, change, MAC_A, MAC_B),
    ]


def lldp() -> list[bytes]:
    def part(kind: int, value: bytes) -> bytes:
        return struct.pack(">H", kind << 9 | len(value)) + value

    text = b"Siemens, SIMATIC NET, SCALANCE X212-2, 6GK5 212-2BB00-2AA3, HW: 7, FW: V4.02"
    frame = (
        part(1, b"\4" + mac("02:aa:aa:aa:aa:01")) + part(2, b"\7port-001") + part(3, b"\0\x14") + part(5, b"Switch1")
    )
    frame += part(6, text) + part(7, b"\0\x04\0\x04") + part(8, b"\5\1\x0a\0\0\x0c\2\0\0\0\1\0") + part(0, b"")
    return [ethernet(0x88CC, frame, "02:aa:aa:aa:aa:07", "01:80:c2:00:00:0e")]


def cdp() -> list[bytes]:
    def part(kind: int, value: bytes) -> bytes:
        return struct.pack(">HH", kind, len(value) + 4) + value

    version = (
        b"Cisco IOS Software, C3560 Software (C3560-ADVIPSERVICESK9-M), Version 12.2(44)SE, RELEASE SOFTWARE (fc1)"
    )
    body = part(1, b"S1") + part(3, b"FastEthernet0/13") + part(4, b"\0\0\0\x28") + part(5, version)
    body += part(6, b"cisco WS-C3560-24TS") + part(2, b"\0\0\0\1\1\1\xcc\0\4\x0a\0\0\xfd")
    frame = b"\xaa\xaa\x03\0\0\x0c\x20\0\x02\xb4\0\0" + body
    return [ethernet(len(frame), frame, MAC_B, "01:00:0c:cc:cc:cc")]


def opcua() -> list[bytes]:
    def text(value: str) -> bytes:
        return struct.pack("<i", len(value)) + value.encode()

    def application(kind: int) -> bytes:
        who = "client" if kind == 1 else "server"
        return (
            text(f"urn:example:{who}")
            + text(f"http://example.com/{who}")
            + b"\2"
            + text(f"The {who}")
            + struct.pack("<I", kind)
        )

    def message(node: int, body: bytes) -> bytes:
        inner = struct.pack("<IIII", 1, 1, 2, 2) + b"\1\0" + struct.pack("<H", node) + body
        return b"MSGF" + struct.pack("<I", 8 + len(inner)) + inner

    policy = b"http://opcfoundation.org/UA/SecurityPolicy#None"
    opened = struct.pack("<I", 0) + struct.pack("<i", len(policy)) + policy + b"\xff" * 8 + struct.pack("<II", 1, 1)
    token = (
        b"\1\0\x44\1\1"
        + struct.pack("<i", 60)
        + text("name")
        + text("operator")
        + text("secret")
        + struct.pack("<i", -1)
    )
    return session(
        4840,
        (">", b"HELF" + struct.pack("<I", 36) + bytes(28)),
        (">", b"OPNF" + struct.pack("<I", 8 + len(opened)) + opened),
        (">", message(461, bytes(30) + application(1) + bytes(40))),
        ("<", message(464, bytes(30) + application(0) + bytes(40))),
        (">", message(467, bytes(30) + token)), (">", message(673, bytes(40))),
    )  # fmt: skip


def bacnet() -> list[bytes]:
    def apdu(body: bytes, function: int = 0x0A) -> bytes:
        return struct.pack(">BBH", 0x81, function, len(body) + 6) + b"\1\0" + body

    def string(value: bytes) -> bytes:
        return b"\x75" + bytes((len(value) + 1,)) + b"\0" + value

    device = struct.pack(">I", 8 << 22 | 1234)
    i_am = b"\x10\0\xc4" + device + b"\x22\x05\xc4\x91\3\x21\5"
    model = b"\x30\1\x0c\x0c" + device + b"\x19\x46\x3e" + string(b"NAE-4510") + b"\x3f"
    several = b"\x30\2\x0e\x0c" + device + b"\x1e" + b"\x29\x2c\x4e" + string(b"5.1.0") + b"\x4f"
    several += b"\x29\x4d\x4e" + string(b"AHU-1") + b"\x4f\x1f"
    write = b"\0\5\3\x0f\x0c" + device + b"\x19\x55\x3e\x44\0\0\0\0\x3f"
    return [
        udp((B, 47808), ("10.0.0.255", 47808), apdu(i_am, 0x0B)),
        udp((A, 47808), (B, 47808), apdu(b"\0\5\1\x0c\x0c" + device + b"\x19\x46")),
        udp((B, 47808), (A, 47808), apdu(model)),
        udp((B, 47808), (A, 47808), apdu(several)),
        udp((A, 47808), (B, 47808), apdu(write)),
    ]


def ber(tag: int, value: bytes) -> bytes:
    size = bytes((len(value),)) if len(value) < 128 else b"\x82" + struct.pack(">H", len(value))
    return bytes((tag,)) + size + value


def snmp() -> list[bytes]:
    def message(pdu: int, value: bytes) -> bytes:
        binding = ber(0x30, ber(6, b"\x2b\6\1\2\1\1\1\0") + value)
        inner = ber(2, b"\1") + ber(2, b"\0") + ber(2, b"\0") + ber(0x30, binding)
        return ber(0x30, ber(2, b"\1") + ber(4, b"public") + ber(pdu, inner))

    text = b"Hirschmann MAR - SW: L2P-09.0.00"
    return [udp((A, 5000), (B, 161), message(0xA0, b"\5\0")), udp((B, 161), (A, 5000), message(0xA2, ber(4, text)))]


def fins() -> list[bytes]:
    ask = b"\x80\0\2\0\1\0\0\2\0\1\5\1\0"
    data = b"CP1L-EL20DR-D".ljust(20) + b"01.00".ljust(20, b"\0") + bytes(40)
    answer = b"\xc0\0\2\0\2\0\0\1\0\1\5\1\0\0" + data
    filler = b"\xc0\0\2\0\2\0\0\1\0\1\5\1\0\0" + b"A" * 20 + b"01.00".ljust(20) + bytes(40)
    write = b"\x80\0\2\0\1\0\0\2\0\1\1\2\x82\0\0\0\0\1\0\7"
    return [
        udp((A, 9600), (B, 9600), ask), udp((B, 9600), (A, 9600), answer), udp((B, 9600), (A, 9600), filler),
        udp((A, 9600), (B, 9600), write),
    ]  # fmt: skip


def ads() -> list[bytes]:
    def frame(command: int, flags: int, data: bytes, source_port: int) -> bytes:
        head = (
            bytes((10, 0, 0, 5, 1, 1))
            + struct.pack("<H", 800)
            + bytes((10, 0, 0, 9, 1, 1))
            + struct.pack("<H", source_port)
        )
        head += struct.pack("<HHIII", command, flags, len(data), 0, 1)
        return struct.pack("<HI", 0, len(head) + len(data)) + head + data

    info = struct.pack("<IBBH16s", 0, 2, 11, 2103, b"PLC Server")
    return session(
        48898, (">", frame(1, 4, b"", 800)), ("<", frame(1, 5, info, 801)), (">", frame(5, 4, bytes(8), 800))
    )


def ads_route() -> list[bytes]:
    def tag(number: int, value: bytes) -> bytes:
        return struct.pack("<HH", number, len(value)) + value

    tags = tag(12, b"PC\0") + tag(7, bytes(6)) + tag(13, b"Administrator\0") + tag(2, b"1\0") + tag(5, b"PC\0")
    head = b"\x03\x66\x14\x71" + struct.pack("<II", 0, 6) + bytes((10, 0, 0, 5, 1, 1)) + struct.pack("<HI", 10000, 5)
    found = (
        b"\x03\x66\x14\x71"
        + struct.pack("<II", 0, 0x80000001)
        + bytes((10, 0, 0, 9, 1, 1))
        + struct.pack("<HI", 10000, 2)
    )
    found += tag(5, b"CX_0D7560\0") + tag(3, b"\2\x0b\xb4\x08")
    return [udp((A, 5001), (B, 48899), head + tags), udp((B, 48899), (A, 5001), found)]


def slmp() -> list[bytes]:
    ask = b"\x50\0\0\xff\xff\x03\0" + struct.pack("<HH", 6, 16) + b"\1\1\0\0"
    answer = b"\xd0\0\0\xff\xff\x03\0" + struct.pack("<H", 20) + b"\0\0" + b"FX5U-32MT/ES".ljust(16) + b"\x41\x48"
    stop = b"\x50\0\0\xff\xff\x03\0" + struct.pack("<HH", 8, 16) + b"\2\x10\0\0\1\0"
    return session(5007, (">", ask), ("<", answer), (">", stop))


def hart_ip() -> list[bytes]:
    pdu = b"\x82\x26\x4e\0\0\xd2\0\0\x38"
    ask = b"\1\0\3\0\0\1" + struct.pack(">H", 8 + len(pdu)) + pdu
    body = b"\0\xd0\xfe\x26\x4e\5\7\4\1\x0e\x0c\0\0\xd2\5\2\2\0\2\0\x26\0\x26\x84"
    reply = b"\x86\x26\x4e\0\0\xd2\0" + bytes((len(body),)) + body + b"\xe4"
    return [
        udp((A, 5000), (B, 5094), ask),
        udp((B, 5094), (A, 5000), b"\1\1\3\0\0\1" + struct.pack(">H", 8 + len(reply)) + reply),
    ]


def fox() -> list[bytes]:
    hello = (
        b"fox a 0 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\nhostName=s:h\nhostAddress=s:10.0.0.9\napp.name=s:Station\n"
        b"app.version=s:3.5.41.1\nos.name=s:QNX\nos.version=s:6.3.2\nstation.name=s:HQ\nbrandId=s:vykon\nhostId=s:Qnx-1\n};;\n"
    )
    return session(1911, (">", b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"), ("<", hello))


def mms() -> list[bytes]:
    def data(pdu: bytes) -> bytes:
        return tpkt(b"\1\0\1\0" + ber(0x61, ber(0x30, ber(2, b"\3") + ber(0xA0, pdu))))

    opened = tpkt(b"\x0d\x10" + bytes(16))
    answer = ber(0xA1, ber(2, b"\1") + ber(0xA2, ber(0x80, b"Example") + ber(0x81, b"IED-7") + ber(0x82, b"2.1")))
    write = ber(0xA0, ber(2, b"\2") + ber(0xA5, bytes(6)))
    return session(102, (">", opened), (">", data(ber(0xA0, b"\2\1\1\x82\0"))), ("<", data(answer)), (">", data(write)))


def iec104() -> list[bytes]:
    command = b"\x68\x0e\0\0\0\0\x2d\1\6\0\1\0\1\0\0\x81"
    return session(2404, (">", b"\x68\4\7\0\0\0"), ("<", b"\x68\4\x0b\0\0\0"), (">", command))


def dnp3() -> list[bytes]:
    def frame(control: int, data: bytes) -> bytes:
        blocks = b"".join(data[at : at + 16] + b"\0\0" for at in range(0, len(data), 16))
        return b"\x05\x64" + bytes((5 + len(data), control)) + struct.pack("<HH", 3, 10) + b"\0\0" + blocks

    told = b"".join(
        bytes((0, n, 0, 0, 0, 1, len(v))) + v for n, v in ((252, b"Example"), (250, b"RTU-8"), (242, b"2.0"))
    )
    operate = b"\xc0\xc1\5\x0c\1\x28\1\0\1\0\3\1\x64\0\0\0\x64\0\0\0\0"
    return session(20000, (">", frame(0xC4, operate)), ("<", frame(0x44, b"\xc0\xc1\x81\0\0" + told)))


def mqtt() -> list[bytes]:
    def field(value: bytes) -> bytes:
        return struct.pack(">H", len(value)) + value

    body = field(b"MQTT") + b"\4\xc2\0\x3c" + field(b"press-4") + field(b"gateway") + field(b"secret")
    publish = field(b"plant/press-4/temperature") + b"21.5"
    return session(
        1883,
        (">", b"\x10" + bytes((len(body),)) + body),
        ("<", b"\x20\2\0\0"),
        (">", b"\x30" + bytes((len(publish),)) + publish),
    )


def dhcp() -> list[bytes]:
    options = b"\x63\x82\x53\x63\x35\1\3\x0c\x09KoyoDL405\x3c\x08MSFT 5.0\xff"
    head = b"\1\1\6\0" + bytes(24) + mac(MAC_A) + bytes(10) + bytes(192)
    return [udp(("0.0.0.0", 68), ("255.255.255.255", 67), head + options)]  # noqa: S104  as a client without address


def browser() -> list[bytes]:
    frame = b"\x0f\0" + struct.pack("<I", 720_000) + b"WIN2K3LAB022".ljust(16, b"\0") + b"\5\2"
    frame += struct.pack("<I", 0x00829003) + b"\x0f\1\x55\xaa\0"
    head = b"\x11\x02\0\1" + bytes(10) + b"\x20" + b"FH" * 16 + b"\0\x20" + b"CA" * 16 + b"\0"
    body = head + b"\xffSMB\x25" + bytes(60) + b"\\MAILSLOT\\BROWSE\0" + frame
    return [udp((B, 138), ("10.0.0.255", 138), body)]


def tristation() -> list[bytes]:
    def frame(kind: int, body: bytes) -> bytes:
        return bytes((kind, 0)) + struct.pack("<H", len(body)) + body + b"\0\0"

    download = frame(5, b"\0\0\1" + bytes(7))
    return [
        udp((A, 5000), (B, 1502), frame(1, b"")),
        udp((B, 1502), (A, 5000), frame(2, b"")),
        udp((A, 5000), (B, 1502), download),
    ]


def office() -> list[bytes]:
    hello = b"\x16\3\1\0\x40\1" + bytes(63)
    ask = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic b3BlcmF0b3I6c2VjcmV0\r\n\r\n"
    name = b"\0\1\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1"
    arp = b"\0\1\x08\0\6\4\0\1" + mac(MAC_A) + bytes((10, 0, 0, 5)) + bytes(6) + bytes((10, 0, 0, 9))
    return [
        *session(80, (">", ask), ("<", b"HTTP/1.1 200 OK\r\nServer: Boa/0.94\r\n\r\n")),
        tcp((A, 40_100), (B, 443), hello), tcp((A, 40_101), (B, 2022), b"SSH-2.0-OpenSSH_9\r\n"),
        tcp((B, 5999), (A, 40_102), b"RFB 003.008\n"), tcp((A, 40_103), (B, 445), b"\0\0\0\x40\xfeSMB" + bytes(60)),
        *session(21, ("<", b"220 ready\r\n"), (">", b"USER root\r\n"), (">", b"PASS secret\r\n")),
        udp((A, 5000), (B, 53), name), udp((A, 123), (B, 123), b"\x23" + bytes(47)), ethernet(0x0806, arp),
    ]  # fmt: skip


ALL = (
    list_identity, backplane, modbus_identification, umas, s7, s7_plus, dcp, lldp, cdp, opcua, bacnet, snmp, fins, ads,
    ads_route, slmp, hart_ip, fox, mms, iec104, dnp3, mqtt, dhcp, browser, tristation, office,
)  # fmt: skip
