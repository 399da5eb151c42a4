//! Grants: value given, listed, taken back.

use bursar_domain::account::AccountKey;
use bursar_domain::command::Command;
use bursar_domain::grant::{CreateGrant, Grant, RollOver, Source};
use bursar_domain::id::GrantId;
use bursar_domain::journal::Remark;
use bursar_domain::time::Time;
use bursar_store::query::{GrantFilter, Page, PageRequest};

use super::asked::{Asked, keyed};
use super::{Balance, ServiceError, form};
use crate::Once;

/// What a grant asks for. All fields by name, so that one that is added and forgotten here does not compile.
fn asked(terms: &CreateGrant) -> Asked {
    let CreateGrant {
        user,
        amount,
        category,
        source,
        priority,
        starts_at,
        expires_at,
        roll_over,
        remark,
    } = terms;
    let time = |at: &Option<Time>| at.map(|at| at.0);
    let asked = Asked::default()
        .text("user_id", user.as_str())
        .number("credits", amount.minor)
        .text("unit", &amount.unit.to_string())
        .text("category", category.as_str())
        .text("source", source.as_str())
        .number("priority", *priority)
        .number("starts_at", time(starts_at))
        .number("expires_at", time(expires_at))
        .remark(remark);
    match roll_over {
        Some(RollOver { cap, seconds }) => asked
            .number("roll_over.cap", *cap)
            .number("roll_over.expires_in", *seconds),
        None => asked,
    }
}

impl Balance {
    /// Gives value: credits that burn before others, that expire, that begin later. [`CreateGrant::plain`] has the usual terms.
    pub async fn create_grant(
        &self,
        terms: CreateGrant,
        key: Option<&str>,
    ) -> Result<Once<Grant>, ServiceError> {
        if matches!(
            terms.source,
            Source::Topup | Source::RollOver | Source::Exchange
        ) {
            let rule =
                "must be bonus, allowance, trial, code or manual: the others name themselves";
            return Err(ServiceError::invalid("source", rule));
        }
        let remark = form::remark(terms.remark)?;
        let terms = CreateGrant { remark, ..terms };
        let key = keyed("grants.create", key, &asked(&terms))?;
        Ok(self.engine.ask(Command::CreateGrant(terms), key).await?)
    }

    /// Takes back what is left of a grant.
    pub async fn void_grant(
        &self,
        grant: GrantId,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Grant>, ServiceError> {
        let remark = form::remark(remark)?;
        let asked = Asked::default()
            .text("grant_id", &grant.to_string())
            .remark(&remark);
        let key = keyed("grants.void", key, &asked)?;
        Ok(self
            .engine
            .ask(Command::VoidGrant { grant, remark }, key)
            .await?)
    }

    /// Grants, the newest first. Rows are read for the order and the ends; what is left of the live ones, their wallets know.
    pub async fn grants(
        &self,
        filter: GrantFilter,
        request: PageRequest,
    ) -> Result<Page<Grant>, ServiceError> {
        form::check_page(&request)?;
        let read = self
            .engine
            .read(move |reader| reader.grants(&filter, &request));
        let mut grants = read.await?;
        let live = grants.items.iter().filter(|grant| grant.ended_at.is_none());
        let mut keys: Vec<AccountKey> = live.map(|grant| grant.wallet.clone()).collect();
        keys.sort();
        keys.dedup();
        let wallets = self.engine.wallets(keys).await?;
        for grant in &mut grants.items {
            let mut live = wallets.iter().flatten().flat_map(|wallet| &wallet.grants);
            if let Some(live) = live.find(|live| live.id == grant.id) {
                grant.clone_from(live);
            }
        }
        Ok(grants)
    }
}
