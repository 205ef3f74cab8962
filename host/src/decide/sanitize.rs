//! What a stranger's words must be before they stand in a condition: the API server checks none of this.

use std::time::Duration;

/// The longest reason, in characters.
const REASON_MAX: usize = 128;

/// The longest message, in bytes.
pub const MESSAGE_MAX: usize = 1024;

/// What stands in place of a reason that breaks the rules.
pub const INVALID_REASON: &str = "InvalidReason";

/// The shortest time after which a plugin may ask to be asked again.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// The longest one.
const DELAY_MAX: Duration = Duration::from_hours(1);

/// The reason as it is, if it matches `^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$` and has at most 128 characters
/// and is none of the host's own; [`INVALID_REASON`] otherwise.
pub fn reason(reason: &str) -> String {
    let bytes = reason.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b',' | b':');
    let valid = bytes.len() <= REASON_MAX
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(inner)
        && bytes.last().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if valid && !super::reason::is_ours(reason) { reason.to_owned() } else { INVALID_REASON.to_owned() }
}

/// The message with a space for each character that does not print, without space at its ends, cut at
/// [`MESSAGE_MAX`].
pub fn message(message: &str) -> String {
    text(message, MESSAGE_MAX)
}

/// `text` with a space for each character that does not print, without space at its ends, cut at `max` bytes on a
/// character boundary.
pub fn text(text: &str, max: usize) -> String {
    // Nearly all that is said, and each answer comes by here.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain && text.len() <= max {
        return text.trim().to_owned();
    }
    let mut clean = String::with_capacity(text.len().min(max));
    for c in text.trim().chars() {
        let c = if prints(c) { c } else { ' ' };
        if clean.len() + c.len_utf8() > max {
            break;
        }
        clean.push(c);
    }
    clean.truncate(clean.trim_end().len());
    clean.drain(..clean.len() - clean.trim_start().len());
    clean
}

/// A time to wait, held to 100 ms .. 1 h.
pub fn delay(millis: u32) -> Duration {
    Duration::from_millis(millis.into()).clamp(DELAY_MIN, DELAY_MAX)
}

/// Whether a character shows as itself: no control, no bidirectional override, nothing of no width, no line
/// separator, nothing private or outside the set of characters.
pub fn prints(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{10ffff}')
        || u32::from(c) & 0xfffe == 0xfffe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_only_if_the_api_conventions_allow_it() {
        let longest = "A".repeat(REASON_MAX);
        for good in ["A", "CacheWarm", "a1", "A,b:c_", "A_", longest.as_str()] {
            assert_eq!(reason(good), good);
        }
        let too_long = "A".repeat(REASON_MAX + 1);
        for bad in ["", "1A", "_A", "A:", "A,", "A b", "A-b", "Ä", "Aä", "A\n", "A\0", too_long.as_str()] {
            assert_eq!(reason(bad), INVALID_REASON, "{bad:?}");
        }
    }

    #[test]
    fn what_does_not_print_becomes_a_space() {
        assert_eq!(message("a\nb\tc\u{1b}[31md\u{7f}e"), "a b c [31md e");
        assert_eq!(message("pass\u{202e}drow \u{2066}x\u{200b}y\u{feff}"), "pass drow  x y");
        assert_eq!(message("\u{2028}\u{e000}\u{10ffff}\u{fffe}\u{e0041}"), "");
        assert_eq!(message("zażółć 世界 🦀 é"), "zażółć 世界 🦀 é");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(message(&"x".repeat(MESSAGE_MAX)).len(), MESSAGE_MAX);
        assert_eq!(message(&"x".repeat(MESSAGE_MAX + 1)).len(), MESSAGE_MAX);
        let cut = message(&format!("x{}", "世".repeat(400)));
        assert_eq!(cut.len(), 1 + 341 * 3);
        assert!(cut.ends_with('世'));
    }

    #[test]
    fn a_delay_is_held_to_its_bounds() {
        assert_eq!(delay(0), DELAY_MIN);
        assert_eq!(delay(100), DELAY_MIN);
        assert_eq!(delay(101), Duration::from_millis(101));
        assert_eq!(delay(3_600_000), DELAY_MAX);
        assert_eq!(delay(u32::MAX), DELAY_MAX);
    }
}
