//! The oracle of the plan: whatever happens at Stripe, and by whatever path we hear of it, the books end the same.
//!
//! Random histories are played in the sandbox. One engine gets every webhook in order; one gets none and reconciles; one reconciles
//! when Stripe has forgotten its events; one gets webhooks lost, doubled and out of order; one is an old copy, restored after the
//! fact. `BURSAR_HISTORIES=20000` plays more of them, `BURSAR_SEED=7` begins with another seed.

use std::collections::BTreeSet;
use std::path::Path;

use bursar_engine::Engine;
use bursar_engine::reconcile::Options;
use tempfile::TempDir;

use crate::history::{Draw, Step, play, steps};
use crate::shop::{Shop, books, copy, deliver, open, open_intent, recover, settled};

/// Histories in one world. More in one world make its lists longer, fewer start more engines.
const BATCH: usize = 125;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

/// The purchases of a world, with what is still to happen to them.
struct Customers {
    sessions: Vec<String>,
    ahead: Vec<(usize, Step)>,
}

impl Customers {
    async fn come(&mut self, shop: &Shop, engine: &Engine, count: usize, draw: &mut Draw) {
        let mut fresh: Vec<(usize, Vec<Step>)> = Vec::new();
        for _ in 0..count {
            let place = self.sessions.len();
            let credits = 50 + i64::try_from(draw.below(2_000)).unwrap();
            let user = format!("user-{place}");
            let session = if draw.chance(25) {
                open_intent(engine, &user, credits).await
            } else {
                open(engine, &user, credits).await
            };
            self.sessions.push(session);
            fresh.push((place, steps(draw)));
            if draw.chance(30) {
                shop.clock.advance(i64::try_from(draw.below(40)).unwrap());
            }
        }
        // The histories are mixed; each by itself keeps its order.
        while !fresh.is_empty() {
            let which = usize::try_from(draw.below(fresh.len() as u64)).unwrap();
            if fresh[which].1.is_empty() {
                fresh.swap_remove(which);
            } else {
                let step = fresh[which].1.remove(0);
                self.ahead.push((fresh[which].0, step));
            }
        }
    }

    /// Lets some of it happen.
    fn act(&mut self, shop: &Shop, count: usize, draw: &mut Draw) {
        let count = count.min(self.ahead.len());
        for (place, step) in self.ahead.drain(..count) {
            // Several things in one second are usual.
            if draw.chance(40) {
                shop.clock.advance(i64::try_from(draw.below(90)).unwrap());
            }
            let session = &self.sessions[place];
            shop.sandbox
                .change(|world, now| play(world, session, step, draw, now))
                .unwrap();
        }
    }
}

/// Delivers what happened since, in order; the newest id.
async fn deliver_since(shop: &Shop, engine: &Engine, last: Option<String>) -> Option<String> {
    let (ids, bodies): (Vec<_>, Vec<_>) = shop.events_after(last.as_deref()).into_iter().unzip();
    deliver(engine, &bodies).await;
    settled(engine).await;
    ids.last().cloned().or(last)
}

/// A second look finds nothing to do and nothing to say.
async fn second_look(shop: &Shop, engine: &Engine, with_events: bool, what: &str) {
    let options = Options {
        with_events,
        ..shop.all()
    };
    let report = engine.reconcile(&options).await.unwrap();
    assert!(report.is_settled() && report.agrees(), "{what}: {report}");
    for (currency, money) in &report.money {
        assert_eq!(money.proven, money.ledger, "{what}, {currency}");
        assert_eq!(
            (money.unexplained, money.foreign),
            (0, 0),
            "{what}, {currency}"
        );
    }
}

async fn all_webhooks(shop: &Shop, base: &Path, last: Option<String>) -> String {
    let engine = shop.engine(&copy(base, "all"));
    deliver_since(shop, &engine, last).await;
    let text = books(&engine).await;
    second_look(shop, &engine, true, "all webhooks").await;
    assert_eq!(books(&engine).await, text);
    // Whatever is worked off again changes nothing.
    let count = engine.replay_span(shop.all().span).await.unwrap();
    assert_ne!(count, 0);
    assert_eq!(books(&engine).await, text);
    engine.shutdown().await;
    text
}

async fn no_webhooks(shop: &Shop, base: &Path, with_events: bool) -> String {
    let engine = shop.engine(&copy(base, if with_events { "none" } else { "objects" }));
    let options = Options {
        with_events,
        ..shop.all()
    };
    let report = engine.reconcile(&options).await.unwrap();
    assert!(report.agrees(), "{report}");
    let text = books(&engine).await;
    second_look(shop, &engine, false, "no webhooks").await;
    engine.shutdown().await;
    text
}

async fn chaos(shop: &Shop, base: &Path, last: Option<String>, draw: &mut Draw) -> String {
    let engine = shop.engine(&copy(base, "chaos"));
    let mut events = Vec::new();
    for (_, body) in shop.events_after(last.as_deref()) {
        for _ in 0..draw.pick(&[0, 0, 1, 1, 1, 2, 3]) {
            events.push(body.clone());
        }
    }
    draw.shuffle(&mut events);
    let late = events.split_off(events.len() / 2);
    deliver(&engine, &events).await;
    let report = engine.reconcile(&shop.all()).await.unwrap();
    assert!(report.agrees(), "{report}");
    deliver(&engine, &late).await;
    let text = books(&engine).await;
    second_look(shop, &engine, false, "chaos").await;
    engine.shutdown().await;
    text
}

async fn restored(shop: &Shop, backup: &Path, with_events: bool) -> String {
    let engine = shop.engine(backup);
    let report = recover(shop, &engine, with_events).await;
    assert!(report.agrees(), "{report}");
    let text = books(&engine).await;
    second_look(shop, &engine, false, "restored").await;
    engine.shutdown().await;
    text
}

/// The first line in which two books differ.
fn same(what: &str, seed: u64, expected: &str, found: &str) {
    if expected == found {
        return;
    }
    let lost = expected
        .lines()
        .filter(|line| !found.lines().any(|it| it == *line));
    let wrong = found
        .lines()
        .filter(|line| !expected.lines().any(|it| it == *line));
    let lost: Vec<&str> = lost.take(8).collect();
    let wrong: Vec<&str> = wrong.take(8).collect();
    panic!("seed {seed}: {what} differs\nexpected {lost:#?}\nfound {wrong:#?}");
}

/// What the payments of one world have ended as.
async fn one_world(seed: u64) -> BTreeSet<String> {
    let (mut draw, folder) = (Draw::new(seed), TempDir::new().unwrap());
    let shop = Shop::open(seed).await;
    let (base, backup) = (
        folder.path().join("base.db"),
        folder.path().join("backup.db"),
    );
    let engine = shop.engine(&base);
    let mut customers = Customers {
        sessions: vec![],
        ahead: vec![],
    };
    let before = usize::try_from(draw.below(BATCH as u64)).unwrap();
    customers.come(&shop, &engine, before, &mut draw).await;
    customers.act(&shop, before, &mut draw);
    let mut last = deliver_since(&shop, &engine, None).await;
    let to = backup.clone();
    engine
        .read(move |reader| bursar_store::copy::write(reader, &to))
        .await
        .unwrap();
    shop.clock
        .advance(1 + i64::try_from(draw.below(50_000)).unwrap());
    customers
        .come(&shop, &engine, BATCH - before, &mut draw)
        .await;
    if draw.chance(50) {
        customers.act(&shop, BATCH / 2, &mut draw);
        last = deliver_since(&shop, &engine, last).await;
    }
    engine.shutdown().await;
    customers.act(&shop, usize::MAX, &mut draw);
    // Long enough for everything to be seen, and not for sessions to expire in one world and not in the other.
    shop.clock.advance(300);
    let expected = all_webhooks(&shop, &base, last.clone()).await;
    same(
        "no webhooks",
        seed,
        &expected,
        &no_webhooks(&shop, &base, true).await,
    );
    same(
        "no events",
        seed,
        &expected,
        &no_webhooks(&shop, &base, false).await,
    );
    same(
        "chaos",
        seed,
        &expected,
        &chaos(&shop, &base, last, &mut draw).await,
    );
    same(
        "restored",
        seed,
        &expected,
        &restored(&shop, &backup, seed.is_multiple_of(2)).await,
    );
    let payments = expected
        .lines()
        .filter_map(|line| line.strip_prefix("payment "));
    let statuses = payments.filter_map(|line| line.split(' ').nth(1));
    statuses.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_way_the_news_come_the_books_end_the_same() {
    let histories = from_environment("BURSAR_HISTORIES", 2_000);
    let seed = from_environment("BURSAR_SEED", 1);
    let mut ends = BTreeSet::new();
    for world in 0..histories.div_ceil(BATCH as u64) {
        ends.extend(one_world(seed + world).await);
    }
    // What never happens proves nothing.
    let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
    let all =
        "canceled disputed expired failed paid partially_refunded pending processing refunded";
    assert_eq!(ends.join(" "), all);
}
