//! Sends deliveries: the one part of the sandbox that opens connections.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bursar_stripe::signature::{self, Secret};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::task::JoinSet;

use crate::delivery::{self, Attempt, Outgoing};
use crate::fault::{self, Kind};
use crate::{Sandbox, World};

/// Connections open at a time.
const AT_ONCE: usize = 16;
/// Deliveries looked up at a time. Looking costs the more the more are waiting, so it is not done for each.
const BATCH: usize = 8 * AT_ONCE;
/// How long an endpoint may take to answer. Stripe publishes no number; its CLI takes this one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the hosted page waits for the endpoints before it sends the customer on, as Stripe's does.
const CHECKOUT_WAIT: Duration = Duration::from_secs(10);
/// How often the world is asked whether something has become due of itself.
const TICK: Duration = Duration::from_secs(1);
/// How much of a refusal's body is kept for the control page, in bytes.
const EXCERPT: usize = 300;

/// What Stripe's deliveries call themselves. Receivers log it, and some filter by it.
pub(crate) const USER_AGENT: &str = "Stripe/1.0 (+https://stripe.com/docs/webhooks)";

impl Sandbox {
    /// Delivers events and lets time pass in the world until `shutdown` is ready. Deliveries under way at that
    /// moment are broken off and made again after the next start.
    ///
    /// # Errors
    /// When there is no TLS to be had. A journal that cannot be written is logged and tried again.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<(), reqwest::Error> {
        let client = client()?;
        let mut shutdown = pin!(shutdown);
        let mut busy: HashSet<String> = HashSet::new();
        let mut queue: VecDeque<Outgoing> = VecDeque::new();
        let mut under_way: JoinSet<String> = JoinSet::new();
        loop {
            let mut changed = pin!(self.changed().notified());
            // From here on no change is missed, even if it comes before the wait below.
            changed.as_mut().enable();
            self.let_time_pass();
            let mut pause = TICK;
            if queue.is_empty() {
                let fresh = self.due().into_iter();
                queue.extend(fresh.filter(|outgoing| busy.insert(outgoing.delivery.clone())));
                pause = self.pause();
            }
            while under_way.len() < AT_ONCE
                && let Some(outgoing) = queue.pop_front()
            {
                under_way.spawn(self.clone().attempt(client.clone(), outgoing));
            }
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                Some(done) = under_way.join_next() => {
                    if let Ok(delivery) = done {
                        busy.remove(&delivery);
                    }
                }
                () = changed, if queue.is_empty() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits until every endpoint has answered the event that this session is complete, ten seconds at most:
    /// what a customer's browser waits for before it is sent back to the shop.
    pub(crate) async fn wait_for_endpoints(&self, session: &str) {
        let answered = async {
            loop {
                let mut changed = pin!(self.changed().notified());
                changed.as_mut().enable();
                if self.read(|world, _| completion_answered(world, session)) {
                    return;
                }
                changed.await;
            }
        };
        // Too late is no error: the customer goes on and the webhook comes when it comes.
        let _ = tokio::time::timeout(CHECKOUT_WAIT, answered).await;
    }

    /// The moment in the world, in milliseconds since 1970.
    pub(crate) fn world_millis(&self, world: &World) -> i64 {
        self.real_millis()
            .saturating_add(world.clock_offset().saturating_mul(1000))
    }

    fn let_time_pass(&self) {
        if let Err(error) = self.change(World::tick) {
            tracing::error!(%error, "the sandbox could not go on; trying again");
        }
    }

    /// What is due, those under way among it; the rest follows when these are done.
    fn due(&self) -> Vec<Outgoing> {
        let due = self.change(|world, _| {
            let now = self.world_millis(world);
            delivery::advance(&mut world.records, now);
            delivery::due(&world.records, now, BATCH)
        });
        due.unwrap_or_else(|error| {
            tracing::error!(%error, "the sandbox could not go on; trying again");
            Vec::new()
        })
    }

    fn pause(&self) -> Duration {
        let wait = self.read(|world, _| {
            let now = self.world_millis(world);
            delivery::next_due(&world.records, now).map(|due| due - now)
        });
        let wait = wait.and_then(|millis| u64::try_from(millis).ok());
        wait.map_or(TICK, |millis| Duration::from_millis(millis).min(TICK))
    }

    /// Makes one attempt, writes down how it went and returns the delivery's id.
    async fn attempt(self, client: Client, outgoing: Outgoing) -> String {
        let began = self.real_millis();
        let outcome = if self.refuses(&outgoing) {
            Err("connection refused (a fault set on the control page)".to_owned())
        } else {
            self.post(&client, &outgoing).await
        };
        let (status, error) = match outcome {
            Ok((status, error)) => (Some(status), error),
            Err(error) => (None, Some(error)),
        };
        let id = &outgoing.delivery;
        let pauses = &self.config().retry_pauses;
        let written = self.change(|world, _| {
            let at = self.world_millis(world);
            let millis = self.real_millis() - began;
            let attempt = Attempt {
                at,
                millis,
                status,
                error,
            };
            delivery::record_outcome(&mut world.records, id, attempt, pauses);
        });
        if let Err(error) = written {
            tracing::error!(%error, delivery = %id, "the outcome of a delivery is not on disk");
        }
        outgoing.delivery
    }

    fn refuses(&self, outgoing: &Outgoing) -> bool {
        let taken = self.change(|world, _| {
            fault::take(&mut world.records, Kind::Refuse, &outgoing.event_type).is_some()
        });
        taken.unwrap_or(false)
    }

    /// Sends the body, signed at this moment. The signature carries the real time, not the world's: the receiver
    /// compares it with its own clock.
    async fn post(
        &self,
        client: &Client,
        outgoing: &Outgoing,
    ) -> Result<(u16, Option<String>), String> {
        let secret = Secret::new(&outgoing.secret).map_err(|error| error.to_string())?;
        let unix = self.real_millis().div_euclid(1000);
        let response = client
            .post(&outgoing.url)
            .header("Content-Type", "application/json; charset=utf-8")
            .header(
                "Stripe-Signature",
                signature::sign(&secret, unix, &outgoing.body),
            )
            .body(outgoing.body.clone())
            .send()
            .await
            .map_err(|error| reason(&error))?;
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok((status, None));
        }
        Ok((status, Some(refusal(response).await)))
    }
}

pub(crate) fn client() -> Result<Client, reqwest::Error> {
    // A program has one TLS provider. Whoever embeds the sandbox may have chosen it already.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    // No proxy: what is delivered to is this machine, as a rule.
    Client::builder()
        .user_agent(USER_AGENT)
        .timeout(PATIENCE)
        .redirect(Policy::none())
        .no_proxy()
        .build()
}

/// The innermost reason: "connection refused" says more than "error sending request".
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} seconds", PATIENCE.as_secs());
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The beginning of what an endpoint said when it did not take the event.
async fn refusal(mut response: Response) -> String {
    if response.status().is_redirection() {
        return "a redirect, which is not followed".to_owned();
    }
    let mut body = Vec::new();
    while body.len() < EXCERPT {
        let Ok(Some(chunk)) = response.chunk().await else {
            break;
        };
        body.extend_from_slice(&chunk);
    }
    body.truncate(EXCERPT);
    String::from_utf8_lossy(&body).into_owned()
}

fn completion_answered(world: &World, session: &str) -> bool {
    let completion = world.records.objects("event").find(|event| {
        event["type"] == "checkout.session.completed" && event["data"]["object"]["id"] == session
    });
    let event = completion.and_then(|event| event["id"].as_str());
    event.is_none_or(|event| delivery::answered(&world.records, event))
}

#[cfg(test)]
mod tests;
