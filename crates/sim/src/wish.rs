//! What clients ask for: which command a step makes of what there is.

mod batch;
mod bonus;
mod purchase;
mod refund;
mod spending;

use bursar_domain::command::Command;
pub(crate) use spending::euro;

use crate::client::Clients;
use crate::model::Model;
use crate::script::Step;
use crate::stripe::Stripe;

/// What a step asks for, if it asks and there is something to ask about.
pub(crate) fn command(
    step: Step,
    model: &Model,
    stripe: &Stripe,
    clients: &Clients,
) -> Option<Command> {
    let now = stripe.now;
    purchase::command(step, model, stripe)
        .or_else(|| refund::command(step, model))
        .or_else(|| spending::command(step, model))
        .or_else(|| batch::command(step, clients))
        .or_else(|| spending::by_administrator(step, model, now))
        .or_else(|| bonus::command(step, model, now).map(Command::Bonus))
}
