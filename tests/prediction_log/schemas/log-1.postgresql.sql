CREATE TABLE lociscope_log (
  key VARCHAR(32) NOT NULL,
  value TEXT,
  PRIMARY KEY (key)
);
CREATE TABLE lociscope_predictions (
  seq BIGSERIAL NOT NULL,
  time VARCHAR(32) NOT NULL,
  command TEXT NOT NULL,
  bundle TEXT NOT NULL,
  id TEXT NOT NULL,
  predicted TEXT NOT NULL,
  status TEXT NOT NULL,
  warnings TEXT NOT NULL,
  probability BYTEA NOT NULL,
  statistics BYTEA NOT NULL,
  embedding BYTEA,
  PRIMARY KEY (seq)
);
CREATE INDEX ix_lociscope_predictions_time ON lociscope_predictions (time);
INSERT INTO lociscope_log (key, value) VALUES ('schema', '1');
