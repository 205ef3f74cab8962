//! What networks and API servers do at their worst, through the fault proxy: one file a row or two of the matrix.

mod proxy;
