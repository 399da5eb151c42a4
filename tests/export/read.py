"""What Beancount makes of a file: its complaints, every balance to the last digit, and what is said about each transaction."""

import json
import sys

from beancount import loader
from beancount.core import data, realization

entries, errors, _ = loader.load_file(sys.argv[1])
balances = {}
for account in realization.iter_children(realization.realize(entries)):
    for position in account.balance:
        balances[account.account] = str(position.units.number)
said = {
    entry.meta["id"]: {key: entry.meta.get(key) for key in ("reason", "cause", "note", "ref", "meta", "tags")} | {"date": str(entry.date)}
    for entry in entries
    if isinstance(entry, data.Transaction) and "id" in entry.meta
}
json.dump(
    {
        "errors": [error.message for error in errors],
        "balances": balances,
        "said": said,
        "grants": sum("grant" in posting.meta for entry in data.filter_txns(entries) for posting in entry.postings),
        "assertions": sum(isinstance(entry, data.Balance) for entry in entries),
    },
    sys.stdout,
)
