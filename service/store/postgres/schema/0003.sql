-- Who said first that he knows of an alarm, and when.
ALTER TABLE checker.alarm ADD COLUMN acknowledged_by text, ADD COLUMN acknowledged_ms bigint;
