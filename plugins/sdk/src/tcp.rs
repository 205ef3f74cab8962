//! Connections over TCP, to what the check's document lists under `allow.tcp`.

use std::time::Duration;

use crate::{Failure, bindings::gatehost::check::tcp, reach::millis};

/// A connection to be opened once.
#[derive(Clone, Debug)]
pub struct Exchange(tcp::Exchange);

impl Exchange {
    /// A connection to a name, an address, or `pod` for the pod that is asked about.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self(tcp::Exchange {
            host_name: host.into(),
            port,
            payload: Vec::new(),
            until: Vec::new(),
            most_bytes: 0,
            timeout_ms: None,
            extra: Vec::new(),
        })
    }

    /// What is sent once it is open.
    pub fn send(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.0.payload = payload.into();
        self
    }

    /// How many bytes are read then, up to 64 KiB; 0, as unless set, reads none.
    pub fn read(mut self, most_bytes: u32) -> Self {
        self.0.most_bytes = most_bytes;
        self
    }

    /// Reading ends once this has come.
    pub fn until(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.until = bytes.into();
        self
    }

    /// How long all of it may take; never longer than nine tenths of what is left of the call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(millis(timeout));
        self
    }

    /// Opens the connection; what was read.
    pub fn connect(self) -> Result<Vec<u8>, Failure> {
        Ok(tcp::connect(&self.0)?)
    }
}
