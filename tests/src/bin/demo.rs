//! `make demo`: serves the files of a folder over HTTP, for checks to ask, while gatehost runs with the arguments that are
//! left.
//!
//! ```sh
//! demo 127.0.0.1:18088 plugins/demo/server dev plugins/demo target/plugins
//! ```
#![allow(clippy::print_stderr, reason = "there is nobody else to tell")]

use std::{convert::Infallible, env, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpListener,
    process::Command,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<u8> {
    let mut arguments = env::args_os().skip(1);
    let address = arguments.next().context("usage: demo ADDRESS FOLDER ARGUMENTS...")?;
    let folder = PathBuf::from(arguments.next().context("usage: demo ADDRESS FOLDER ARGUMENTS...")?);
    let address = address.to_string_lossy();
    let listener = TcpListener::bind(&*address)
        .await
        .with_context(|| format!("cannot listen on {address}; end what listens there, such as another demo"))?;
    // Ctrl-C reaches both, and it is gatehost that ends in order, and this with it.
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut gatehost = Command::new(gatehost_tests::gatehost_binary()?).args(arguments).kill_on_drop(true).spawn()?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            ended = gatehost.wait() => return Ok(ended?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
            Ok((stream, _)) = listener.accept() => {
                let folder = folder.clone();
                let service = service_fn(move |request| answer(folder.clone(), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            Some(_) = connections.join_next() => {}
            _ = int.recv() => {}
            _ = term.recv() => {
                let id = gatehost.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                if let Some(id) = id {
                    kill_process(id, Signal::TERM)?;
                }
            }
        }
    }
}

/// The file of that name, as it is now.
async fn answer(folder: PathBuf, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let name = request.uri().path().trim_start_matches('/');
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    let file = if is_name { tokio::fs::read(folder.join(name)).await.ok() } else { None };
    let status = if file.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::new(file.unwrap_or_default().into()));
    *response.status_mut() = status;
    Ok(response)
}
