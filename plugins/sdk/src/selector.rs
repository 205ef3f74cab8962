//! Label selectors in a config. The host reads them.

/// Whether a text is a label selector, as `kubectl -l` takes it and [`crate::objects::find_all`] as well.
///
/// # Errors
/// What is wrong with it.
pub fn check_selector(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Ok(());
    }
    let mut depth = 0_u32;
    // A comma in brackets does not end a requirement.
    let comma = |c: char| {
        depth = match c {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        c == ',' && depth == 0
    };
    match text.split(comma).find(|part| !is_requirement(part.trim())) {
        None => Ok(()),
        Some(part) => {
            Err(format!("{:?} is no label selector; write one such as \"app=db\" or \"tier in (a, b)\"", part.trim()))
        }
    }
}

fn is_requirement(text: &str) -> bool {
    if let Some((key, values)) = text.split_once('(') {
        let mut words = key.split_whitespace();
        let (Some(key), Some("in" | "notin"), None) = (words.next(), words.next(), words.next()) else { return false };
        return is_key(key)
            && values.strip_suffix(')').is_some_and(|values| values.split(',').all(|v| is_value(v.trim())));
    }
    for operator in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(operator) {
            return is_key(key.trim()) && is_value(value.trim());
        }
    }
    is_key(text.strip_prefix('!').unwrap_or(text))
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    !name.is_empty() && is_value(name) && prefix.is_none_or(|prefix| !prefix.is_empty() && is_word(prefix))
}

fn is_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 63 && is_word(text))
}

fn is_word(text: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    edge(bytes.first().copied())
        && edge(bytes.last().copied())
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::check_selector;

    #[test]
    fn what_kubectl_takes_is_taken() {
        for text in
            ["", "app=db", "app==db,tier!=x", "a in (b, c), d notin (e)", "example.com/a", "!a", "a=", "a in (b,)"]
        {
            assert_eq!(check_selector(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told() {
        for text in
            ["=db", "app=db,", ",", "a b", "a in b", "a in (b", "a near (b)", "a=b=c", "/a", "-a", "a=b c", "a>1)"]
        {
            assert!(check_selector(text).is_err_and(|what| what.contains("is no label selector")), "{text}");
        }
    }
}
