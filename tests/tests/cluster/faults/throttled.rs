//! 429: the API server has too much to do, and says for how long.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use gatehost_tests::{
    proxy::{Answer, Cut, Fault, Kind, Proxy, Seen},
    soak,
    trial::{Trial, run},
    wait::{Seen as Looked, until},
};

use super::{Crowd, gaps, seconds};

/// How much later than it may the host is at most, but for its own first wait of half a second.
const LATE: Duration = Duration::from_secs(3);

fn busy(retry_after: &str) -> Fault {
    Fault::Answer(Answer::status(429).header("Retry-After", retry_after))
}

/// That many seconds from now as HTTP writes dates, in whole seconds: up to one second earlier.
fn http_date(seconds: i64) -> Result<String> {
    let now = jiff::Timestamp::try_from(SystemTime::now())?.as_second();
    Ok(jiff::Timestamp::from_second(now + seconds)?.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// The time between the first patch of a pod, which was refused, and the second.
async fn pause(proxy: &Proxy, pod: &str, bound: Duration) -> Result<Duration> {
    let of_pod = Kind::PatchOf(pod.to_owned());
    let seen = until(bound, &format!("{pod} is patched again"), async || {
        let seen = proxy.seen(of_pod.clone());
        Ok(if seen.len() > 1 { Looked::Yes(seen) } else { Looked::NotYet(format!("{} patches", seen.len())) })
    })
    .await?;
    gaps(&seen).first().copied().context("no two patches")
}

#[test]
fn a_retry_after_of_a_patch_is_obeyed_in_all_its_forms_and_other_requests_flow() {
    run(async |t: &mut Trial| {
        let mut crowd = Crowd::start(t, 10).await?;
        let long = 30;
        let forms = [
            ("1", "1".to_owned(), 1),
            ("malformed", "soon".to_owned(), 0),
            ("HTTP date", http_date(6)?, 3),
            ("30", long.to_string(), long),
        ];
        for ((_, value, _), pod) in forms.iter().zip(&crowd.pods) {
            crowd.proxy.next(Kind::PatchOf(pod.clone()), 1, busy(value));
        }
        let begin = Instant::now();
        let approved = crowd.approve(t, 0..10).await?;
        let (throttled, free) = approved.split_at(forms.len());
        until(LATE, "those that were not refused are patched", async || {
            let patched = free.iter().filter(|pod| crowd.proxy.count(Kind::PatchOf((*pod).clone())) == 1).count();
            Ok(Looked::when(patched == free.len(), || format!("{patched} of {}", free.len())))
        })
        .await?;
        let flowed = begin.elapsed();
        let mut figures = vec![("others written after", seconds(flowed))];
        let mut awaited = forms.iter().zip(throttled).collect::<Vec<_>>();
        // The longest is seen to its end in a full run only; else no patch comes for as long as the others take and more.
        let last = if soak::full() { None } else { awaited.pop() };
        for ((form, _, asked), pod) in awaited {
            let asked = Duration::from_secs(*asked);
            let waited = pause(&crowd.proxy, pod, asked + 2 * LATE).await?;
            assert!(waited >= asked && waited < asked + LATE + LATE, "{form}: {asked:?} were asked, waited {waited:?}");
            figures.push((form, seconds(waited)));
        }
        if let Some((_, pod)) = last {
            let held = until(Duration::from_secs(20), "a third of the longest wait is over", async || {
                let patches = crowd.proxy.count(Kind::PatchOf(pod.clone()));
                if patches > 1 {
                    bail!("patched again after {:?}, 30 s were asked", begin.elapsed());
                }
                let held = begin.elapsed();
                Ok(if held > Duration::from_secs(12) { Looked::Yes(held) } else { Looked::NotYet(format!("{held:?}")) })
            })
            .await?;
            figures.push(("30", format!("more than {}", seconds(held))));
        } else {
            crowd.wait_until_right(t, LATE).await?;
        }
        soak::record("429 for patches", &figures)
    });
}

#[test]
fn a_retry_after_of_a_list_or_a_watch_is_obeyed_and_patches_flow() {
    run(async |t: &mut Trial| {
        let crowd = Crowd::start(t, 3).await?;
        let mut figures = Vec::new();
        for kind in [Kind::Watch, Kind::List] {
            crowd.proxy.forget();
            crowd.proxy.next(kind.clone(), 1, busy("4"));
            if kind == Kind::List {
                crowd.proxy.expire_watches();
            } else {
                crowd.proxy.cut(Kind::Watch, Cut::Close).await?;
            }
            let seen: Vec<Seen> = crowd.proxy.wait_for(kind.clone(), 2).await?;
            let waited = gaps(&seen)[0];
            assert!(waited >= Duration::from_secs(4), "{kind:?}: 4 s were asked, waited {waited:?}");
            assert!(waited < Duration::from_secs(4) + 2 * LATE, "{kind:?}: 4 s were asked, waited {waited:?}");
            figures.push((if kind == Kind::List { "list" } else { "watch" }, seconds(waited)));
        }
        let mut crowd = crowd;
        crowd.approve(t, 0..3).await?;
        crowd.wait_until_right(t, 2 * LATE).await?;
        soak::record("429 for lists and watches, 4 s asked", &figures)
    });
}
