//! Many calls at once: those that wait are in nobody's way.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use gatehost::sandbox::Evaluation;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{Asker, ENOUGH, allow, guest, server::Server, starts};

impl Asker {
    /// Another check of the same host.
    fn another(&self, allowed: &serde_json::Value) -> Self {
        let grant = self.sandbox.grant(&allow(allowed)).unwrap();
        Self { question: Evaluation { grant, ..self.question.clone() }, ..self.clone() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_are_all_answered() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let mut calls = JoinSet::new();
    for _ in 0..1000 {
        let (asker, url) = (asker.clone(), server.url("/wait/200"));
        calls.spawn(async move { asker.get(&url).await });
    }
    for told in calls.join_all().await {
        starts(&told, "200 4 bytes [late]");
    }
    let most = server.seen.most.load(SeqCst);
    assert!((200..=256).contains(&most), "{most} at once");
    assert!(server.connections() <= 300, "{} connections", server.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_waits_starves_no_other_and_guests_that_compute_hold_up_no_answer() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let mut waiting = JoinSet::new();
    for _ in 0..600 {
        let (asker, url) = (asker.clone(), server.url("/never"));
        waiting.spawn(async move { asker.get(&url).await });
    }
    while server.seen.most.load(SeqCst) < 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let other = asker.another(&json!({ "http": [server.entry()] }));
    for _ in 0..20 {
        let start = Instant::now();
        starts(&other.get(&server.url("/ok")).await, "200");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    // Guests of that check that compute without end take the turns of that check only.
    let spin = asker.sandbox.load(guest("spin")).await.unwrap();
    for _ in 0..50 {
        let (spin, question) = (spin.clone(), asker.question.clone());
        waiting.spawn(async move { format!("{:?}", spin.evaluate(question).await.answer) });
    }
    for _ in 0..5 {
        starts(&other.get(&server.url("/ok")).await, "200");
    }
    // A call that nobody waits for any more ends, and with it what it asked for.
    waiting.shutdown().await;
    let start = Instant::now();
    while asker
        .clone()
        .timeout(Duration::from_secs(2))
        .evaluate(&json!({ "http": { "url": server.url("/ok") } }))
        .await
        .answer
        .is_err()
    {
        assert!(start.elapsed() < ENOUGH);
    }
}
