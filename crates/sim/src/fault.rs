//! A connection to the database that fails on purpose.

use std::sync::{Arc, Mutex, PoisonError};

use bursar_store::connection::{Cells, Connection, Dialect, Parameters, Question, Row, StoreError};

/// What will go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process dies: from then on nothing works.
    Die,
    /// The disk is full for this one statement.
    Full,
    /// The server ends the transaction, as it does with one of two that wait for each other.
    Clash,
}

/// Something that happens in the middle of a batch.
pub(crate) type Act = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Plan {
    /// After so many statements.
    due: Option<(u32, Trouble)>,
    /// What happens after so many statements.
    between: Option<(u32, Act)>,
    /// The connection is lost at the next commit, which was done or not.
    cut: Option<bool>,
    dead: bool,
    /// How often the connection was lost.
    generation: u64,
}

/// When the connection fails, shared with whoever plans it.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Plan>>);

impl Faults {
    fn with<T>(&self, act: impl FnOnce(&mut Plan) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Plans trouble after so many statements.
    pub(crate) fn plan(&self, statements: u32, trouble: Trouble) {
        self.with(|plan| plan.due = Some((statements, trouble)));
    }

    /// Plans that something happens after so many statements.
    pub(crate) fn plan_between(&self, statements: u32, act: Act) {
        self.with(|plan| plan.between = Some((statements, act)));
    }

    /// Plans that the connection is lost at the commit, and whether the commit is done.
    pub(crate) fn plan_cut(&self, is_done: bool) {
        self.with(|plan| plan.cut = Some(is_done));
    }

    /// Whether the process is dead. What was planned is off.
    pub(crate) fn end(&self) -> bool {
        self.with(|plan| {
            plan.due = None;
            plan.cut = None;
            plan.between = None;
            plan.dead
        })
    }

    fn cut(&self) -> Option<bool> {
        self.with(|plan| {
            let cut = plan.cut.take();
            plan.generation += u64::from(cut.is_some());
            cut
        })
    }

    fn pass(&self) -> Result<(), StoreError> {
        let act = self.with(|plan| match &mut plan.between {
            Some((left @ 1.., _)) => {
                *left -= 1;
                None
            }
            between => between.take().map(|(_, act)| act),
        });
        if let Some(act) = act {
            act();
        }
        self.with(|plan| {
            if plan.dead {
                return Err(failed("the process is dead"));
            }
            match &mut plan.due {
                Some((0, trouble)) => {
                    plan.dead = *trouble == Trouble::Die;
                    let error = match trouble {
                        Trouble::Clash => StoreError::Conflict("the simulator says so".to_owned()),
                        Trouble::Die | Trouble::Full => failed("the disk is full"),
                    };
                    plan.due = None;
                    Err(error)
                }
                Some((left, _)) => {
                    *left -= 1;
                    Ok(())
                }
                None => Ok(()),
            }
        })
    }
}

fn failed(why: &str) -> StoreError {
    StoreError::Unavailable(format!("the simulator says: {why}"))
}

/// The connection underneath, and what happens to it.
pub(crate) struct Faulty {
    pub(crate) inner: Box<dyn Connection>,
    pub(crate) faults: Faults,
}

impl Connection for Faulty {
    fn dialect(&self) -> Dialect {
        self.inner.dialect()
    }

    fn generation(&self) -> u64 {
        self.faults.with(|plan| plan.generation)
    }

    fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Vec<Vec<Row>>>, StoreError> {
        self.faults.pass()?;
        self.inner.ask(questions)
    }

    fn write(&mut self, sql: &str, parameters: &[Parameters]) -> Result<(), StoreError> {
        self.faults.pass()?;
        self.inner.write(sql, parameters)
    }

    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        self.faults.pass()?;
        self.inner.query(sql, parameters)
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        self.faults.pass()?;
        self.inner.execute(sql, parameters)
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.faults.pass()?;
        self.inner.run_script(sql)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.faults.pass()?;
        self.inner.begin()
    }

    fn begin_reading(&mut self) -> Result<(), StoreError> {
        self.faults.pass()?;
        self.inner.begin_reading()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.faults.pass() {
            // As a commit that fails: the transaction is gone.
            self.inner.rollback()?;
            return Err(error);
        }
        let Some(is_done) = self.faults.cut() else {
            return self.inner.commit();
        };
        if is_done {
            self.inner.commit()?;
        } else {
            self.inner.rollback()?;
        }
        Err(StoreError::Unknown("the connection was lost".to_owned()))
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.inner.rollback()
    }

    fn fold(&mut self) -> Result<u64, StoreError> {
        self.faults.pass()?;
        self.inner.fold()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.faults.pass()?;
        self.inner.checkpoint()
    }

    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.faults.pass()?;
        self.inner.visit(sql, parameters, show)
    }
}
