//! What a pod's annotation can be called.

/// The API server refuses other keys, so a pod can never carry one.
pub(crate) fn check(key: &str) -> Result<(), &'static str> {
    // It compares keys without regard to case.
    let lower = key.to_ascii_lowercase();
    let (prefix, name) = match lower.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, lower.as_str()),
    };
    if key.is_empty() {
        Err("is empty; give an annotation's key, such as example.com/approved")
    } else if !(is_word(name, |c| matches!(c, '-' | '_' | '.')) && name.len() <= 63) {
        Err("is no annotation key: the name must be at most 63 letters, digits, '-', '_' or '.', and begin and end \
             with a letter or digit, as in example.com/approved")
    } else if prefix.is_some_and(|p| p.len() > 253 || !p.split('.').all(|label| is_word(label, |c| c == '-'))) {
        Err("is no annotation key: what stands before '/' must be a DNS name, as in example.com/approved")
    } else if key == "kubectl.kubernetes.io/last-applied-configuration" {
        Err("does not exist for plugins: it holds the whole pod, secrets in its environment included")
    } else {
        Ok(())
    }
}

/// Letters, digits and what `inner` allows between them.
fn is_word(text: &str, inner: impl Fn(char) -> bool) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || inner(c))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_the_api_server_takes_is_taken() {
        for key in ["a", "approved", "example.com/approved", "example.com/Is_it.0-k", "Example.COM/x"] {
            assert_eq!(check(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn what_it_refuses_is_refused() {
        let long_name = format!("example.com/{}", "a".repeat(64));
        let long_prefix = format!("{}com/a", "a.".repeat(130));
        let keys = ["", "/", "a/", "/a", "a/b/c", "a b", "-a", "a-", "exa_mple.com/a", "a..b/c", "ä", "a:b"];
        for key in keys.into_iter().chain([long_name.as_str(), long_prefix.as_str()]) {
            assert!(check(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn the_hidden_annotation_is_told_to_be_hidden() {
        assert!(check("kubectl.kubernetes.io/last-applied-configuration").is_err_and(|e| e.contains("plugins")));
    }
}
