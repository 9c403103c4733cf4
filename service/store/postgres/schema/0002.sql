-- Alarms, and who is still to be told of them.

CREATE SEQUENCE checker.alarm_number;

-- An episode of trouble; the subject is a device's id, a site's name or 'fleet'.
CREATE TABLE checker.alarm (
    subject         text NOT NULL,
    number          bigint NOT NULL DEFAULT nextval('checker.alarm_number'),
    -- deviceSilent 1, deviceFlapping 2, siteLost 3, fleetLost 4, renewalStorm 5
    kind            smallint NOT NULL,
    slot            smallint NOT NULL,
    version         bigint NOT NULL,
    raised_ms       bigint NOT NULL,
    began_ms        bigint NOT NULL,
    cause           smallint NOT NULL,
    devices         integer NOT NULL,
    cleared_ms      bigint,
    device_reason   smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, number)
);
-- Open once ...
CREATE UNIQUE INDEX alarm_open ON checker.alarm (subject, kind) WHERE cleared_ms IS NULL;
-- ... and of a silence, which is known by its deadline, not a second time after it was cleared.
CREATE UNIQUE INDEX alarm_silence ON checker.alarm (subject, began_ms) WHERE kind = 1;
CREATE INDEX alarm_version ON checker.alarm (slot, version);
CREATE INDEX alarm_cleared ON checker.alarm (cleared_ms) WHERE cleared_ms IS NOT NULL;

-- Whom to tell; of episodes after the mark only.
CREATE TABLE checker.destination (
    name        text PRIMARY KEY,
    mark        bigint NOT NULL
);

-- One episode at one destination.
CREATE TABLE checker.outbox (
    destination text NOT NULL,
    episode     bigint NOT NULL,
    notices     jsonb NOT NULL,
    settled     integer NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    next_ms     bigint NOT NULL DEFAULT 0,
    held_ms     bigint NOT NULL DEFAULT 0,
    is_withheld boolean NOT NULL DEFAULT false,
    is_idle     boolean NOT NULL DEFAULT false,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (destination, episode)
);
CREATE INDEX outbox_waiting ON checker.outbox (destination, episode) WHERE NOT is_idle;
