-- Schema 4: signed statements about the heads of the modules, their time-stamps, and their place in the outbox.

CREATE TABLE anchor (
    number        INTEGER PRIMARY KEY,                  -- 1, 2, ...; `prev` of each names the one before
    content_hash  BLOB    NOT NULL CHECK (length(content_hash) = 32),
    kid           BLOB    NOT NULL,
    signed_utc_ms INTEGER NOT NULL,
    statement     BLOB    NOT NULL                      -- COSE_Sign1, bridge/EVIDENCE.md section 5
) STRICT;

CREATE TABLE anchor_stamp (
    number         INTEGER PRIMARY KEY REFERENCES anchor (number),
    tsa            TEXT    NOT NULL,
    stamped_utc_ms INTEGER NOT NULL,                    -- as the authority says
    response       BLOB    NOT NULL                     -- TimeStampResp, RFC 3161, about the bytes of the statement
) STRICT;

CREATE TABLE outbox_4 (                                 -- as before, and one kind more
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    sink            TEXT    NOT NULL,
    module          TEXT    NOT NULL,                   -- of an anchor: the gateway
    place           REAL    NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('envelope', 'average', 'report', 'anchor')),
    key             TEXT    NOT NULL,
    body            BLOB,
    seq             INTEGER,
    attributes      TEXT    NOT NULL DEFAULT '{}',
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'closed', 'split', 'quarantined')) DEFAULT 'waiting',
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_utc_ms      INTEGER NOT NULL DEFAULT 0,
    created_utc_ms  INTEGER NOT NULL,
    last_reason     TEXT    NOT NULL DEFAULT '',
    UNIQUE (sink, key)
) STRICT;
INSERT INTO outbox_4 SELECT * FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_4 RENAME TO outbox;
CREATE INDEX outbox_waiting ON outbox (sink, module, place) WHERE state = 'waiting';
