-- What PostgreSQL has besides the tables of sqlite/0001_init.sql, which is translated for it (src/migrate.rs).

-- Rows of wallets are rewritten with each batch: new versions find room on the page of the old one.
ALTER TABLE account SET (fillfactor = 70);
ALTER TABLE credit_grant SET (fillfactor = 80);

-- SQLite finds answers through an index of its own (key_run, key_page). Here the key is also what stops a second node.
CREATE UNIQUE INDEX answer_fingerprint ON answer (fingerprint);
