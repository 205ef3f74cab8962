//! Text in columns of a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::decide::sanitize::prints;

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text with `?` for each character that does not print: names in a file can hold anything.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if prints(c) { c } else { '?' }).collect()
}

/// The printable text in at most `room` columns, with `…` where something was cut off.
pub(super) fn cut(text: &str, room: usize) -> String {
    let clean = printable(text);
    if clean.width() <= room {
        return clean;
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in clean.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        cut.push(c);
    }
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// Like [`cut`], filled up with spaces to exactly `room` columns.
pub(super) fn pad(text: &str, room: usize) -> String {
    let mut cell = cut(text, room);
    let missing = room.saturating_sub(cell.width());
    cell.extend(std::iter::repeat_n(' ', missing));
    cell
}

/// The text on at most `most` lines of at most `room` columns, broken at spaces where there are any.
pub(super) fn wrap(text: &str, room: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1)).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| cut(line, room)).collect()
}

/// A length of time in at most four characters: `7s`, `12m`, `3h`, `40d`.
pub(super) fn age(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_never_takes_more_room_than_it_has() {
        assert_eq!(cut("cache-warm", 10), "cache-warm");
        assert_eq!(cut("cache-warm", 6), "cache…");
        assert_eq!(cut("日本語です", 5), "日本…");
        assert_eq!(cut("日本語です", 4), "日…");
        assert_eq!(cut("x", 0), "");
        assert_eq!(pad("日本", 6), "日本  ");
    }

    #[test]
    fn control_characters_cannot_reach_the_terminal() {
        assert_eq!(cut("a\u{1b}[2Jb\nc", 20), "a?[2Jb?c");
        // Neither can what shows a text in another order than it has.
        assert_eq!(printable("True\u{202e}\u{9b}eslaF"), "True??eslaF");
    }

    #[test]
    fn long_texts_are_wrapped_and_the_last_line_is_cut() {
        assert_eq!(wrap("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "three …"]);
        assert_eq!(wrap("unbreakable", 5, 3), ["unbr…"]);
    }

    #[test]
    fn ages_are_short() {
        assert_eq!([0, 119_000, 120_000, 7_200_000, 172_800_000].map(age), ["0s", "119s", "2m", "2h", "2d"]);
    }
}
