//! The checks that need nobody but the pod and the time.

use anyhow::Result;

use super::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn the_expression_check_decides_by_the_pod() -> Result<()> {
    let spec = |expression: &str| format!("plugin: expression.wasm\nconfig: {{expression: '{expression}'}}\n");
    let bed = Bed::new(&["expression.wasm"], &spec(r#"pod.metadata.labels["app"] == "web""#));
    assert_eq!(bed.ask(&[])?.status, "True");
    bed.check(&spec(r#"pod.metadata.labels["app"] == "api""#));
    assert_eq!(bed.ask(&[])?.status, "False");
    // What cannot be evaluated is no False.
    bed.check(&spec(r#"pod.metadata.labels["tier"] == "front""#));
    assert_eq!(bed.ask(&[])?.status, "Unknown");
    bed.check(&spec(r#"pod.metadata.labels["app"] =="#));
    let wrong = bed.wrong();
    assert!(wrong.contains("spec.config/expression"), "{wrong}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_check_is_open_on_its_side_of_the_window() -> Result<()> {
    let spec = |open: &str| {
        format!("plugin: window.wasm\nconfig: {{open: {open}, windows: [{{from: \"00:00\", to: \"24:00\"}}]}}\n")
    };
    let bed = Bed::new(&["window.wasm"], &spec("inside"));
    assert_eq!(bed.ask(&[])?.status, "True");
    bed.check(&spec("outside"));
    assert_eq!(bed.ask(&[])?.status, "False");
    bed.check(&format!("{}\n", spec("inside").replace("open: inside", "open: inside, timeZone: Europe/Nowhere")));
    let wrong = bed.wrong();
    assert!(wrong.contains("spec.config/timeZone") && wrong.contains("Europe/Nowhere"), "{wrong}");
    Ok(())
}
