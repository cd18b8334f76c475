CREATE TABLE lociscope_review (
  key VARCHAR(32) NOT NULL,
  value TEXT,
  PRIMARY KEY (key)
);
CREATE TABLE lociscope_review_items (
  number BIGSERIAL NOT NULL,
  id TEXT NOT NULL,
  bundle VARCHAR(64) NOT NULL,
  source TEXT NOT NULL,
  predicted TEXT NOT NULL,
  probability BYTEA NOT NULL,
  reason VARCHAR(16) NOT NULL,
  frame INTEGER NOT NULL,
  batch VARCHAR(32) NOT NULL,
  added VARCHAR(32) NOT NULL,
  PRIMARY KEY (number),
  CONSTRAINT lociscope_review_items_once UNIQUE (id, bundle)
);
CREATE TABLE lociscope_review_answers (
  seq BIGSERIAL NOT NULL,
  item BIGINT NOT NULL,
  reviewer VARCHAR(64) NOT NULL,
  verdict VARCHAR(16) NOT NULL,
  labels TEXT NOT NULL,
  note TEXT NOT NULL,
  saw_model BOOLEAN NOT NULL,
  time VARCHAR(32) NOT NULL,
  PRIMARY KEY (seq)
);
CREATE INDEX ix_lociscope_review_answers_item ON lociscope_review_answers (item);
CREATE INDEX ix_lociscope_review_answers_reviewer ON lociscope_review_answers (reviewer);
INSERT INTO lociscope_review (key, value) VALUES ('schema', '1');
