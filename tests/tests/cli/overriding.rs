//! Wrong words for `gatehost override`.

use crate::{gatehost, output};

#[test]
fn an_override_that_says_too_little_or_too_much_is_exit_2() {
    let good = ["override", "pod", "web-0", "a.io/b=True", "--for", "30m", "--reason", "down"];
    let with = |at: usize, word: &str| {
        let mut args = good;
        args[at] = word;
        output(&mut gatehost(&args))
    };
    for (at, word, told) in [
        (1, "deployment", "write gatehost override pod NAME"),
        (2, "../web", "no name of a pod"),
        (3, "a.io/b", "write GATE=True or GATE=False"),
        (3, "a.io/b=Unknown", "write GATE=True or GATE=False"),
        (5, "0s", "at least 1s"),
        (5, "25h", "--max-override"),
        (5, "soon", "write it as 90s"),
        (7, " ", "say why in a few words"),
    ] {
        let (code, out, err) = with(at, word);
        assert_eq!((code, out.as_str()), (2, ""), "{word}: {err}");
        assert!(err.contains(told), "{word}: {err}");
    }
    let (code, _, err) = output(&mut gatehost(&good[..4]));
    assert!(code == 2 && err.contains("--for") && err.contains("--reason"), "{err}");
    let (code, _, err) = output(gatehost(&good).arg("--clear"));
    assert!(code == 2 && err.contains("cannot be used with"), "{err}");
    let (code, _, err) = output(&mut gatehost(&["override", "pod", "web-0", "--clear"]));
    assert!(code == 2 && err.contains("no kubeconfig"), "{err}");
}
