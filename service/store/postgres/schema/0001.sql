-- What every replica must know: who is there, who decides about which part of the fleet, what was told, and what devices are.

CREATE TABLE checker.service (
    is_single   boolean PRIMARY KEY DEFAULT true CHECK (is_single),
    -- Since when there has been at least one replica without a break.
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO checker.service DEFAULT VALUES;

-- One row for each start of the program.
CREATE TABLE checker.replica (
    replica     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Dead from then on, unless it renews.
    lease_until timestamptz NOT NULL,
    -- Whether it trusts its own eyes at present; who does not leaves the slots to those who do.
    is_sure     boolean NOT NULL DEFAULT true,
    -- What it wrote to the journal before this number is gone: it is in the devices' rows.
    first_seq   bigint NOT NULL DEFAULT 1
);

-- Facts as they came, in batches. A replica writes its numbers without a gap and one after the other, so a reader who remembers one number
-- for each replica misses nothing, whichever transaction ends first.
CREATE TABLE checker.journal (
    replica     bigint NOT NULL,
    seq         bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    facts       bytea NOT NULL,
    PRIMARY KEY (replica, seq)
);
-- Packed already; to compress it again would cost more than it saves.
ALTER TABLE checker.journal ALTER COLUMN facts SET STORAGE EXTERNAL;

-- Parts of the fleet. Who changes the owner raises the epoch; who writes for a slot proves that he holds the epoch.
CREATE TABLE checker.slot (
    slot        smallint PRIMARY KEY,
    owner       bigint,
    epoch       bigint NOT NULL DEFAULT 0,
    -- Raised with every change of an alarm in the slot, under the row's lock: what is above a number once read is new.
    version     bigint NOT NULL DEFAULT 0,
    -- Up to which number of each replica the journal is in the devices' rows, and as of when (seconds since 1970).
    folded      jsonb NOT NULL DEFAULT '{}',
    folded_s    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO checker.slot (slot) SELECT generate_series(0, 63);

-- Keyed by the device alone, so that the table can be distributed by it.
CREATE TABLE checker.device (
    device_id   text PRIMARY KEY,
    slot        smallint NOT NULL,
    -- unknown 0, online 1, late 2, silent 3, renewing 4, flapping 5, retired 6: as last declared.
    status      smallint NOT NULL,
    since_s     bigint NOT NULL,
    sign_ms     bigint NOT NULL,
    site        text NOT NULL,
    state       bytea NOT NULL
) WITH (fillfactor = 50);
