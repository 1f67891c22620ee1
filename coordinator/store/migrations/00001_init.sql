-- Times are Unix nanoseconds, UTC; lengths are nanoseconds. 0 stands for "not
-- set", except in due.until, where the greatest integer stands for "still".
-- A probe is named "service/probe".

-- +goose Up
CREATE TABLE traces (
	id       INTEGER PRIMARY KEY,
	trace_id TEXT NOT NULL UNIQUE,
	received INTEGER NOT NULL,
	run      BLOB NOT NULL, -- JSON of the run, gzip
	otlp     BLOB NOT NULL  -- OTLP TracesData, gzip
) STRICT;

-- What queries look for of a run. The whole run is in traces.
CREATE TABLE results (
	probe    TEXT NOT NULL,
	slot     INTEGER NOT NULL,
	trace_id TEXT NOT NULL,
	every    INTEGER NOT NULL,
	agent    TEXT NOT NULL,
	vantage  TEXT NOT NULL,
	isp      TEXT NOT NULL,
	verdict  TEXT NOT NULL,
	class    TEXT NOT NULL,
	cause    TEXT NOT NULL, -- the trigger
	started  INTEGER NOT NULL,
	took     INTEGER NOT NULL,
	PRIMARY KEY (probe, slot, trace_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_started ON results (probe, started);
CREATE INDEX results_good ON results (probe, started) WHERE verdict = 'up';

CREATE TABLE agents (
	agent   TEXT NOT NULL PRIMARY KEY,
	vantage TEXT NOT NULL,
	labels  TEXT NOT NULL, -- JSON
	last    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs are counted by the minute as they come in, so that a page that asks for
-- a day's sums does not walk a day's runs.
CREATE TABLE agent_minutes (
	agent   TEXT NOT NULL,
	minute  INTEGER NOT NULL,
	runs    INTEGER NOT NULL,
	unknown INTEGER NOT NULL,
	PRIMARY KEY (agent, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
	id     INTEGER PRIMARY KEY,
	sha256 TEXT NOT NULL UNIQUE,
	kind   TEXT NOT NULL,
	mime   TEXT NOT NULL,
	at     INTEGER NOT NULL,
	data   BLOB NOT NULL
) STRICT;

-- Slots that a committed batch touched, or that wait for voices until "at", and
-- that are to be judged (again).
CREATE TABLE dirty_slots (
	probe TEXT NOT NULL,
	start INTEGER NOT NULL,
	at    INTEGER NOT NULL,
	PRIMARY KEY (probe, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX dirty_slots_start ON dirty_slots (start, at);

CREATE TABLE slots (
	probe   TEXT NOT NULL,
	start   INTEGER NOT NULL,
	every   INTEGER NOT NULL,
	voices  INTEGER NOT NULL, -- how many agents were to run it
	quorum  INTEGER NOT NULL,
	verdict TEXT NOT NULL,
	class   TEXT NOT NULL,
	reason  TEXT NOT NULL,
	PRIMARY KEY (probe, start)
) STRICT, WITHOUT ROWID;

-- Apart, so that long stretches of verdicts are read without them.
CREATE TABLE slot_votes (
	probe TEXT NOT NULL,
	start INTEGER NOT NULL,
	votes TEXT NOT NULL, -- JSON
	PRIMARY KEY (probe, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE latest_slots (
	probe TEXT NOT NULL PRIMARY KEY,
	start INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The incident machine's state, one row a service.
CREATE TABLE service_state (
	service TEXT NOT NULL PRIMARY KEY,
	state   TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

-- What the machine says of an incident is in doc; what people say of it stands
-- beside it, so that neither can overwrite the other.
CREATE TABLE incidents (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	id       TEXT NOT NULL UNIQUE,
	day      TEXT NOT NULL,
	service  TEXT NOT NULL,
	began    INTEGER NOT NULL,
	resolved INTEGER NOT NULL,
	acked    INTEGER NOT NULL DEFAULT 0,
	acked_by TEXT NOT NULL DEFAULT '',
	doc      TEXT NOT NULL -- JSON
) STRICT;
CREATE INDEX incidents_service ON incidents (service, seq);
CREATE INDEX incidents_day ON incidents (day);
CREATE INDEX incidents_open ON incidents (seq) WHERE resolved = 0;

CREATE TABLE notes (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	incident TEXT NOT NULL REFERENCES incidents (id),
	at       INTEGER NOT NULL,
	by       TEXT NOT NULL,
	kind     TEXT NOT NULL,
	text     TEXT NOT NULL
) STRICT;
CREATE INDEX notes_incident ON notes (incident, seq);

-- The outbox. A row stays after delivery: it is the log of what was sent.
CREATE TABLE deliveries (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	key          TEXT NOT NULL UNIQUE,
	incident     TEXT NOT NULL,
	route        TEXT NOT NULL,
	state        TEXT NOT NULL,
	claimed      INTEGER NOT NULL DEFAULT 0, -- 1 while this process has it in hand
	attempts     INTEGER NOT NULL,
	created      INTEGER NOT NULL,
	next_attempt INTEGER NOT NULL,
	done         INTEGER NOT NULL,
	last_error   TEXT NOT NULL,
	notification TEXT NOT NULL -- JSON
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (next_attempt) WHERE state = 'pending';
CREATE INDEX deliveries_incident ON deliveries (incident, id);

CREATE TABLE catalog_bodies (
	digest TEXT NOT NULL UNIQUE,
	body   BLOB NOT NULL
) STRICT;

CREATE TABLE catalogs (
	seq      INTEGER PRIMARY KEY,
	digest   TEXT NOT NULL REFERENCES catalog_bodies (digest),
	accepted INTEGER NOT NULL,
	revision TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE refusals (
	seq      INTEGER PRIMARY KEY AUTOINCREMENT,
	"commit" TEXT NOT NULL UNIQUE,
	author   TEXT NOT NULL,
	subject  TEXT NOT NULL,
	at       INTEGER NOT NULL,
	mistakes TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE due (
	probe    TEXT NOT NULL,
	since    INTEGER NOT NULL,
	until    INTEGER NOT NULL,
	every    INTEGER NOT NULL,
	timeout  INTEGER NOT NULL,
	voices   INTEGER NOT NULL,
	quorum   INTEGER NOT NULL,
	revision TEXT NOT NULL,
	PRIMARY KEY (probe, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX due_until ON due (until);

-- What people wrote into documents: append-only, the newest of a cell counts.
CREATE TABLE fills (
	seq   INTEGER PRIMARY KEY AUTOINCREMENT,
	kind  TEXT NOT NULL,
	day   TEXT NOT NULL,
	line  TEXT NOT NULL, -- the document's row
	field TEXT NOT NULL,
	value TEXT NOT NULL,
	by    TEXT NOT NULL,
	at    INTEGER NOT NULL
) STRICT;
CREATE INDEX fills_day ON fills (kind, day, line, field, seq);
