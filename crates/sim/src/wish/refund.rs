//! Refunds, and who agrees to them.

use bursar_domain::command::Command;
use bursar_domain::journal::Remark;
use bursar_domain::refund::RequestRefund;

use crate::model::Model;
use crate::script::{Step, Verb};
use crate::stripe::pick_recent;

/// Who asks for refunds, and who agrees to them.
const ADMINISTRATORS: [&str; 2] = ["admin", "boss"];

/// By an administrator.
pub(super) fn command(step: Step, model: &Model) -> Option<Command> {
    let how = i64::from(step.how);
    let by = |number: u32| ADMINISTRATORS[number as usize % ADMINISTRATORS.len()].to_owned();
    Some(match step.verb {
        Verb::Refund => {
            let payments: Vec<_> = model.known.iter().map(|(_, payment)| payment).collect();
            Command::RequestRefund(RequestRefund {
                payment: (*pick_recent(&payments, step.which)?).clone(),
                amount: (!step.how.is_multiple_of(3)).then_some(1 + how / 3 % 150),
                reason: String::new(),
                by: by(step.how / 3),
                remark: Remark::default(),
            })
        }
        Verb::DecideRefund => {
            // Any of them now and then: what was decided once is decided.
            let wants_open = !step.how.is_multiple_of(4);
            let open = model.refunds.iter().filter(|(_, owed)| owed.is_awaited());
            let open: Vec<_> = open.map(|(id, _)| id).collect();
            let all = || model.refunds.keys().collect();
            let some = if open.is_empty() || !wants_open {
                all()
            } else {
                open
            };
            Command::DecideRefund {
                refund: (*pick_recent(&some, step.which)?).clone(),
                agrees: !step.how.is_multiple_of(5),
                by: by(step.how / 20),
            }
        }
        _ => return None,
    })
}
