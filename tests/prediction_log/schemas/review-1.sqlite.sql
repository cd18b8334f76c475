BEGIN TRANSACTION;
CREATE TABLE lociscope_review (
	"key" VARCHAR(32) NOT NULL,
	value TEXT,
	PRIMARY KEY ("key")
);
INSERT INTO "lociscope_review" VALUES('schema','1');
CREATE TABLE lociscope_review_answers (
	seq INTEGER NOT NULL,
	item INTEGER NOT NULL,
	reviewer VARCHAR(64) NOT NULL,
	verdict VARCHAR(16) NOT NULL,
	labels TEXT NOT NULL,
	note TEXT NOT NULL,
	saw_model BOOLEAN NOT NULL,
	time VARCHAR(32) NOT NULL,
	PRIMARY KEY (seq)
);
INSERT INTO "lociscope_review_answers" VALUES(1,1,'ann','labelled','0 7','clear',0,'2026-12-01T05:55:14Z');
CREATE TABLE lociscope_review_items (
	number INTEGER NOT NULL,
	id TEXT NOT NULL,
	bundle VARCHAR(64) NOT NULL,
	source TEXT NOT NULL,
	predicted TEXT NOT NULL,
	probability BLOB NOT NULL,
	reason VARCHAR(16) NOT NULL,
	frame INTEGER NOT NULL,
	batch VARCHAR(32) NOT NULL,
	added VARCHAR(32) NOT NULL,
	PRIMARY KEY (number),
	CONSTRAINT lociscope_review_items_once UNIQUE (id, bundle)
);
INSERT INTO "lociscope_review_items" VALUES(1,'f0','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"id": "f0", "planes": [["/data/f0_red.png", "", ""], ["/data/f0_green.png", "", ""], ["/data/f0_blue.png", "", ""], ["/data/f0_yellow.png", "", ""]], "loose": [], "pixel_size": 0.32, "plane": null, "allow_missing": [], "about": []}','0',X'0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E0000803E','random',2,'batch','2026-12-01T05:55:14Z');
CREATE INDEX ix_lociscope_review_answers_reviewer ON lociscope_review_answers (reviewer);
CREATE INDEX ix_lociscope_review_answers_item ON lociscope_review_answers (item);
COMMIT;
