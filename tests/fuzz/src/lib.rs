//! What the fuzz targets call: the pure parts of the host, compiled here as they stand, so that fuzzing them takes a minute
//! to build and not a quarter of an hour; with the feature `load`, the whole host beside them.

extern crate self as gatehost;

#[path = "../../../host/src/check/mod.rs"]
pub mod check;
#[path = "../../../host/src/decide/mod.rs"]
pub mod decide;
#[path = "../../../host/src/pod/mod.rs"]
pub mod pod;

#[cfg(feature = "load")]
pub use host::sandbox;

#[cfg(feature = "load")]
#[path = "../../src/fuzzing/load.rs"]
pub mod load;
#[path = "../../src/fuzzing/pure.rs"]
pub mod pure;
