//! What README.md shows, for the tests that hold it to that.

use crate::workspace;

/// The whole text.
pub fn text() -> String {
    std::fs::read_to_string(workspace().join("README.md")).unwrap()
}

/// The first code block in `language` that holds `part`.
pub fn block(language: &str, part: &str) -> String {
    let text = text();
    let blocks = text.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let found = blocks.filter(|(name, _)| *name == language).map(|(_, code)| code).find(|code| code.contains(part));
    let code = found.unwrap_or_else(|| panic!("README.md has no {language} block with {part:?}"));
    format!("{code}\n")
}
