//! Lists the guests under `guests/`, so that one that the corpus does not know is an error of the compiler.
#![allow(clippy::unwrap_used, reason = "a build that cannot go on has failed")]

use std::{env, fs, path::Path};

fn main() {
    let mut names = Vec::new();
    for (folder, extension) in [("guests/examples", "rs"), ("guests/wat", "wat")] {
        println!("cargo::rerun-if-changed={folder}");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                names.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    let list = format!(
        "/// Calls a macro with the name of each guest.\nmacro_rules! guests {{ ($with:ident) => {{ $with! {{ {} }} }} }}\n",
        names.join(" ")
    );
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap()).join("guests.rs"), list).unwrap();
}
