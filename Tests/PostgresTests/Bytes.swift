// Messages of pgoutput as bytes, written by hand: the layout of the documentation, not of our decoder.

/// A message under construction: `Bytes("B", u64(1), u64(2), u32(3)).all`.
func bytes(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }

func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }
/// With the zero byte.
func cString(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }
func u16(_ value: UInt16) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
func u32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
func u64(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
/// A text value of a tuple.
func text(_ value: String) -> [UInt8] { ascii("t") + u32(UInt32(value.utf8.count)) + ascii(value) }

/// Relation 16385 is `public.people (id int primary key, mail text, note text)`.
let people = bytes(
    ascii("R"), u32(16_385), cString("public"), cString("people"), ascii("d"), u16(3),
    [1], cString("id"), u32(23), u32(0xFFFF_FFFF),
    [0], cString("mail"), u32(25), u32(0xFFFF_FFFF),
    [0], cString("note"), u32(1_043), u32(104))

/// A message of every kind, in an order that decodes.
let everyKind: [[UInt8]] = [
    bytes(ascii("B"), u64(0x16_B374_D848), u64(1_000_000), u32(731)),
    bytes(ascii("O"), u64(0x1000), cString("upstream")),
    bytes(ascii("Y"), u32(16_400), cString("public"), cString("mood")),
    people,
    bytes(ascii("I"), u32(16_385), ascii("N"), u16(3), text("1"), text("ä@b"), ascii("n")),
    bytes(ascii("U"), u32(16_385), ascii("N"), u16(3), text("1"), text(""), ascii("u")),
    bytes(
        ascii("U"), u32(16_385), ascii("K"), u16(3), text("1"), ascii("n"), ascii("n"),
        ascii("N"), u16(3), text("2"), text("x"), ascii("u")),
    bytes(
        ascii("U"), u32(16_385), ascii("O"), u16(3), text("2"), text("x"), text("long"),
        ascii("N"), u16(3), text("2"), text("y"), ascii("u")),
    bytes(ascii("D"), u32(16_385), ascii("K"), u16(3), text("2"), ascii("n"), ascii("n")),
    bytes(ascii("D"), u32(16_385), ascii("O"), u16(3), text("2"), text("y"), text("long")),
    bytes(ascii("T"), u32(1), [3], u32(16_385)),
    bytes(ascii("M"), [1], u64(0x2000), cString("perch"), u32(3), [0, 255, 7]),
    bytes(ascii("C"), [0], u64(0x16_B374_D848), u64(0x16_B374_D878), u64(1_000_001)),
]
