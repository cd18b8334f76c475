CREATE TABLE lociscope_service (
  key VARCHAR(32) NOT NULL,
  value TEXT,
  PRIMARY KEY (key)
);
CREATE TABLE lociscope_jobs (
  id VARCHAR(32) NOT NULL,
  owner VARCHAR(64) NOT NULL,
  state VARCHAR(16) NOT NULL,
  name TEXT NOT NULL,
  created DOUBLE PRECISION NOT NULL,
  expires DOUBLE PRECISION NOT NULL,
  message TEXT NOT NULL,
  rules TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX ix_lociscope_jobs_expires ON lociscope_jobs (expires);
CREATE INDEX ix_lociscope_jobs_owner ON lociscope_jobs (owner);
CREATE INDEX ix_lociscope_jobs_state ON lociscope_jobs (state);
CREATE TABLE lociscope_job_fields (
  job VARCHAR(32) NOT NULL,
  number INTEGER NOT NULL,
  id TEXT NOT NULL,
  state VARCHAR(16) NOT NULL,
  source TEXT NOT NULL,
  plate TEXT NOT NULL,
  well TEXT NOT NULL,
  site TEXT NOT NULL,
  worker VARCHAR(64) NOT NULL,
  lease DOUBLE PRECISION NOT NULL,
  attempts INTEGER NOT NULL,
  predicted TEXT,
  status TEXT,
  warnings TEXT,
  probability BYTEA,
  embedding BYTEA,
  bundle VARCHAR(64),
  model TEXT,
  width INTEGER,
  height INTEGER,
  pixel_size DOUBLE PRECISION,
  code VARCHAR(32),
  reason TEXT,
  PRIMARY KEY (job, number)
);
CREATE INDEX lociscope_job_fields_todo ON lociscope_job_fields (state, number);
CREATE TABLE lociscope_keys (
  id VARCHAR(16) NOT NULL,
  name VARCHAR(64) NOT NULL,
  hash VARCHAR(64) NOT NULL,
  created DOUBLE PRECISION NOT NULL,
  revoked DOUBLE PRECISION,
  PRIMARY KEY (id)
);
INSERT INTO lociscope_service (key, value) VALUES ('schema', '1');
