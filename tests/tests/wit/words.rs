//! Words that a language keeps for itself: its keywords, and the builtins that people would miss if a binding hid
//! them. Functions of C's library are not among them: every name in C bindings carries its interface's.

/// By language; a word of several stands once, with the first.
const WORDS: [(&str, &str); 8] = [
    (
        "WIT",
        "as async bool borrow char constructor enum error-context export f32 f64 flags from func future import include \
         interface list map option own package record resource result s16 s32 s64 s8 static stream string tuple type \
         u16 u32 u64 u8 use variant with world",
    ),
    (
        "Rust",
        "Box Err None Ok Option Result Self Some String Vec abstract await become box break const continue crate do \
         dyn else extern false final fn for gen i128 i16 i32 i64 i8 if impl in isize let loop macro macro_rules match \
         mod move mut override priv pub raw ref return safe self str struct super trait true try typeof u128 union \
         unsafe unsized usize virtual where while yield",
    ),
    (
        "C",
        "NULL alignas alignof auto case constexpr default double errno float goto inline int int16_t int32_t int64_t \
         int8_t intptr_t long main nullptr ptrdiff_t register restrict short signed size_t sizeof static_assert \
         switch thread_local typedef typeof_unqual uint16_t uint32_t uint64_t uint8_t uintptr_t unsigned void \
         volatile",
    ),
    (
        "C++",
        "and and_eq asm bitand bitor catch char16_t char32_t char8_t class co_await co_return co_yield compl concept \
         const_cast consteval constinit contract_assert decltype delete dynamic_cast explicit friend mutable \
         namespace new noexcept not not_eq operator or or_eq private protected public reinterpret_cast requires \
         static_cast std template this throw typeid typename using wchar_t xor xor_eq",
    ),
    (
        "Python",
        "ArithmeticError AssertionError AttributeError BaseException Ellipsis Exception False ImportError IndexError \
         KeyError LookupError MemoryError NameError NotImplemented OSError PermissionError RuntimeError StopIteration \
         SyntaxError SystemExit TimeoutError True TypeError ValueError Warning abs aiter all anext any ascii assert \
         bin breakpoint bytearray bytes callable chr classmethod compile complex def del delattr dict dir divmod elif \
         enumerate eval except exec filter finally format frozenset getattr global globals hasattr hash hex id input \
         is isinstance issubclass iter lambda len locals max memoryview min next nonlocal object oct open ord pass \
         pow print property raise range repr reversed round set setattr slice sorted staticmethod sum vars zip",
    ),
    (
        "JavaScript",
        "Array ArrayBuffer BigInt Boolean DataView Date Error Function Infinity JSON Map Math NaN Number Object \
         Promise Proxy RangeError ReferenceError Reflect RegExp Set Symbol TextDecoder TextEncoder URL WeakMap WeakRef \
         WeakSet WebAssembly any arguments boolean console debugger declare decodeURI encodeURI extends fetch \
         function get globalThis implements instanceof isFinite isNaN keyof never null number of parseFloat parseInt \
         prototype queueMicrotask readonly satisfies setTimeout symbol toString undefined valueOf var window",
    ),
    (
        "Go",
        "append byte cap chan clear close complex128 complex64 comparable copy defer error fallthrough float32 \
         float64 go imag int16 int32 int64 int8 iota make nil panic real recover rune select uint uint16 uint32 \
         uint64 uint8 uintptr",
    ),
    // Taken by what the generators write themselves.
    ("the generated bindings", "drop err exports imports ret"),
];

/// The first language that keeps the word for itself.
pub(crate) fn language_of(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(_, words)| words.split_whitespace().any(|w| w == word)).map(|(language, _)| *language)
}

/// `recheck-after` as `recheck_after`.
pub(crate) fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// `recheck-after` as `RecheckAfter`.
pub(crate) fn pascal(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('-').map(capital).collect()
}

/// `recheck-after` as `recheckAfter`.
pub(crate) fn camel(name: &str) -> String {
    let pascal = pascal(name);
    pascal[..1].to_ascii_lowercase() + &pascal[1..]
}
