//! The README's table of shipped checks: every plugin is in it, and every document in it works.

use std::{collections::BTreeSet, fs};

use anyhow::Result;
use gatehost_tests::{target, workspace};

use super::Bed;

/// The rows of the table: the plugin, and the fields that the smallest document has besides its gate.
fn rows(readme: &str) -> Vec<(String, String)> {
    let lines = readme.lines().filter(|line| line.starts_with("| [") && line.contains(".wasm]"));
    lines
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let plugin = cells[0].trim_start_matches('[').split(']').next().unwrap().to_owned();
            let fields: Vec<_> = cells[2].split('`').skip(1).step_by(2).collect();
            (plugin.clone(), format!("plugin: {plugin}\n{}\n", fields.join("\n")))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shipped_check_is_in_the_readme_with_a_document_that_works() -> Result<()> {
    let readme = fs::read_to_string(workspace().join("README.md"))?;
    let rows = rows(&readme);
    let built = fs::read_dir(target().join("plugins"))?.map(|entry| Ok(entry?.file_name().into_string().unwrap()));
    let built: BTreeSet<_> = built
        .collect::<Result<BTreeSet<_>>>()?
        .into_iter()
        .filter(|file| file.strip_suffix(".wasm").is_some())
        .collect();
    let listed: BTreeSet<_> = rows.iter().map(|(plugin, _)| plugin.clone()).collect();
    assert_eq!(listed, built);
    for (plugin, spec) in rows {
        // What is not there in `dev` does not answer: that is no fault of the document.
        let document = Bed::new(&[&plugin], &spec).document(&[])?;
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(0), "{spec}\n{document}");
        assert_ne!(document["gates"][0]["reason"], "Denied", "{spec}\n{document}");
    }
    Ok(())
}
