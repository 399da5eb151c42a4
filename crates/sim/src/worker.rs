//! Workers of a node: which there are, and how each begins.

use bursar_domain::command::Command;
use bursar_domain::turn;
use bursar_engine::outside::Books as _;
use bursar_engine::reconcile::{self, Options};
use bursar_engine::{auto_topup, inbox, jobs, ticker, turn as turns};
use bursar_store::Share;

use crate::node::Task;
use crate::reach::put;
use crate::run::{Run, text};

/// Most jobs that are begun at once.
const JOBS_MAX: usize = 8;

impl Run {
    /// A worker gets to see what it has read.
    pub(crate) fn see(&mut self, at: usize, which: u32) {
        let mut inner = self.nodes[at].reach.inner();
        let count = inner.readings.len();
        if count > 0 {
            put(&inner.readings.swap_remove(which as usize % count), ());
        }
        drop(inner);
        self.nodes[at].go_on();
    }

    pub(crate) fn begin_scan(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.has(Task::Reconciliation) {
            let reach = node.reach.clone();
            node.spawn(Task::Reconciliation, async move {
                if let Ok(late) = reconcile::scan_events(&reach).await {
                    reach.count("scans", 1);
                    reach.count("events_found", late as u64);
                }
            });
        }
    }

    /// Compares and repairs. What a run in the middle of faults has found nobody looks at.
    pub(crate) fn begin_reconciliation(&mut self, at: usize, with_events: bool) {
        let options = Options {
            repair: true,
            count_max: u64::MAX,
            with_events,
            ..Options::until(self.now(at).seconds())
        };
        let node = &mut self.nodes[at];
        if !node.has(Task::Reconciliation) {
            let reach = node.reach.clone();
            node.spawn(Task::Reconciliation, async move {
                if let Ok(report) = reconcile::run(&reach, &options).await {
                    reach.count("reconciled", 1);
                    let done = report.counts.values().map(|count| count.done).sum();
                    reach.count("repaired", done);
                    reach.inner().report = Some(report);
                }
            });
        }
    }

    pub(crate) fn begin_inbox(&mut self, at: usize) {
        let now = self.now(at);
        let is_alone = self.nodes.len() == 1;
        let node = &mut self.nodes[at];
        if !node.has(Task::Inbox) {
            let reach = node.reach.clone();
            let slot = node.slot().filter(|_| !is_alone);
            // Each thinks that it has to see to what others leave lying: at worst it is so for a moment.
            reach.inner().share = slot.map(|slot| Share {
                slot,
                others_at: Some(now),
            });
            node.spawn(Task::Inbox, async move {
                drop(inbox::work_off(&reach).await);
            });
        }
    }

    pub(crate) fn begin_tick(&mut self, at: usize) {
        if !self.nodes[at].has(Task::Ticker) {
            let reach = self.nodes[at].reach.clone();
            let notice = self.nodes[at].policy.expiry_notice_seconds;
            self.nodes[at].spawn(Task::Ticker, async move {
                drop(ticker::tick(&reach, notice).await);
            });
        }
    }

    /// Looks for wallets that are low. How far it came the node remembers until it dies.
    pub(crate) fn begin_look(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.has(Task::Look) {
            let reach = node.reach.clone();
            node.spawn(Task::Look, async move {
                let mut place = reach.inner().looked_to.take();
                drop(auto_topup::look(&reach, &mut place).await);
                reach.inner().looked_to = place;
            });
        }
    }

    /// Asks whether it is this node's turn, or gives it back. Which it has the node remembers until it dies.
    pub(crate) fn begin_turn(&mut self, at: usize, ends: bool) {
        let node = &mut self.nodes[at];
        if node.has(Task::Turn) {
            return;
        }
        let reach = node.reach.clone();
        node.spawn(Task::Turn, async move {
            let held = reach.inner().turn;
            if let Some(held) = held.filter(|_| ends) {
                reach.inner().turn = None;
                drop(reach.submit(Command::Turn(turn::Step::End(held))).await);
            } else {
                let taken = turns::take(&reach, held).await;
                reach.inner().turn = taken.ok().flatten();
            }
        });
    }

    pub(crate) fn begin_jobs(&mut self, at: usize) -> Result<(), String> {
        let now = self.now(at);
        let due = self.nodes[at]
            .reach
            .ask(|reader| reader.due_jobs(now, JOBS_MAX));
        for key in due.map_err(text)?.0 {
            let reach = self.nodes[at].reach.clone();
            self.nodes[at].spawn(Task::Job, async move {
                if let Ok(Some(claim)) = jobs::claim(&reach, key).await {
                    jobs::work(&reach, claim).await;
                }
            });
        }
        Ok(())
    }
}
