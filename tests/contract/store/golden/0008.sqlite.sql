-- A table of schema 0008 with jobs in every state, as SQLite dumps it.
CREATE TABLE artifacts (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	attempt_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	url TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	seconds FLOAT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (id), 
	CONSTRAINT fk_artifacts_attempt_id_attempts FOREIGN KEY(attempt_id) REFERENCES attempts (id), 
	CONSTRAINT fk_artifacts_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT uq_artifacts_attempt_id UNIQUE (attempt_id)
);
INSERT INTO "artifacts" VALUES(1,4,5,'/videos/clip.mp4','https://v3.fal.media/clip.mp4',7,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',5.0,1280,720,'2026-03-01 12:01:30.000000');
INSERT INTO "artifacts" VALUES(2,9,11,'/videos/clip.mp4','https://v3.fal.media/clip.mp4',7,'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',5.0,1280,720,'2026-03-01 12:02:50.000000');
CREATE TABLE attempts (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	endpoint TEXT NOT NULL, 
	host TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	payload_sha256 VARCHAR(64) NOT NULL, 
	key_fingerprint TEXT NOT NULL, 
	price_micro BIGINT NOT NULL, 
	started_at DATETIME NOT NULL, 
	accepted_at DATETIME, 
	finished_at DATETIME, 
	request_id TEXT, 
	status_url TEXT, 
	response_url TEXT, 
	cancel_url TEXT, 
	video_url TEXT, 
	video_bytes BIGINT, 
	video_content_type TEXT, 
	outcome VARCHAR NOT NULL, 
	billed VARCHAR, 
	http_status INTEGER, 
	error_type TEXT, 
	error_message TEXT, 
	CONSTRAINT pk_attempts PRIMARY KEY (id), 
	CONSTRAINT ck_attempts_concluded_is_finished CHECK ((outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'not_sent' OR outcome = 'absent' OR outcome = 'cancelled') = (finished_at IS NOT NULL)), 
	CONSTRAINT ck_attempts_identified_has_request CHECK (NOT (outcome = 'accepted' OR outcome = 'generated' OR outcome = 'succeeded') OR (request_id IS NOT NULL AND accepted_at IS NOT NULL AND response_url IS NOT NULL)), 
	CONSTRAINT ck_attempts_generated_is_billed CHECK (NOT (outcome = 'generated' OR outcome = 'succeeded') OR (video_url IS NOT NULL AND billed IS NOT NULL AND billed = 'yes')), 
	CONSTRAINT ck_attempts_refused_is_free CHECK (NOT (outcome = 'not_sent' OR outcome = 'absent') OR billed = 'no'), 
	CONSTRAINT ck_attempts_billed_known CHECK (billed IS NULL OR (billed = 'yes' OR billed = 'no' OR billed = 'unknown')), 
	CONSTRAINT ck_attempts_outcome_known CHECK ((outcome = 'open' OR outcome = 'unknown' OR outcome = 'accepted' OR outcome = 'generated' OR outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'not_sent' OR outcome = 'absent' OR outcome = 'cancelled')), 
	CONSTRAINT ck_attempts_concluded_is_answered CHECK (finished_at IS NULL OR billed IS NOT NULL), 
	CONSTRAINT ck_attempts_number_counts_from_one CHECK (number >= 1), 
	CONSTRAINT ck_attempts_price_not_negative CHECK (price_micro >= 0), 
	CONSTRAINT fk_attempts_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT fk_attempts_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT uq_attempts_job_id_number UNIQUE (job_id, number), 
	CONSTRAINT uq_attempts_request_id UNIQUE (request_id)
);
INSERT INTO "attempts" VALUES(1,1,1,1,'kling','queue.fal.run','{"prompt":"prompt 2"}','e9bf06ef680e02b938d96a4f9eec8fe854e3b59dadff3fbc628a37d229303c28','key',560000,'2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000','2026-03-01 12:00:30.000000','request-1','https://queue.fal.run/requests/1/status','https://queue.fal.run/requests/1','https://queue.fal.run/requests/1/cancel',NULL,NULL,NULL,'failed','yes',500,'broken','It broke.');
INSERT INTO "attempts" VALUES(2,2,1,1,'kling','queue.fal.run','{"prompt":"prompt 3"}','9af472eb555ce3cc1e6753533dafe11224c10bcabd62cbc9b704cc46b4c1689d','key',560000,'2026-03-01 12:00:30.000000','2026-03-01 12:00:30.000000','2026-03-01 12:01:00.000000','request-2','https://queue.fal.run/requests/2/status','https://queue.fal.run/requests/2','https://queue.fal.run/requests/2/cancel',NULL,NULL,NULL,'failed','no',500,'broken','It broke.');
INSERT INTO "attempts" VALUES(3,3,1,1,'kling','queue.fal.run','{"prompt":"prompt 4"}','c1689b8694201bc221bf82a7bb545a659e24f141c998c7f699f5caad069966fc','key',560000,'2026-03-01 12:01:00.000000','2026-03-01 12:01:00.000000','2026-03-01 12:01:30.000000','request-3','https://queue.fal.run/requests/3/status','https://queue.fal.run/requests/3','https://queue.fal.run/requests/3/cancel',NULL,NULL,NULL,'failed','unknown',500,'broken','It broke.');
INSERT INTO "attempts" VALUES(4,4,1,1,'kling','queue.fal.run','{"prompt":"prompt 5"}','010b682672efbe79dd896a283f6332f1c91f45218e26ad371580aa2840d891fc','key',560000,'2026-03-01 12:01:30.000000',NULL,'2026-03-01 12:01:30.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'absent','no',NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(5,4,2,1,'kling','queue.fal.run','{"prompt":"prompt 5"}','010b682672efbe79dd896a283f6332f1c91f45218e26ad371580aa2840d891fc','key',560000,'2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000','request-4','https://queue.fal.run/requests/4/status','https://queue.fal.run/requests/4','https://queue.fal.run/requests/4/cancel','https://v3.fal.media/clip.mp4',7,NULL,'succeeded','yes',NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(6,5,1,1,'kling','queue.fal.run','{"prompt":"prompt 6"}','a31272d9930abb5a73c1863c3ef3836fdb3c212881bc060b67117f6a1f5cf6d6','key',560000,'2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000','request-5','https://queue.fal.run/requests/5/status','https://queue.fal.run/requests/5','https://queue.fal.run/requests/5/cancel',NULL,NULL,NULL,'failed','unknown',NULL,'broken','It broke.');
INSERT INTO "attempts" VALUES(7,5,2,1,'kling','queue.fal.run','{"prompt":"prompt 6"}','a31272d9930abb5a73c1863c3ef3836fdb3c212881bc060b67117f6a1f5cf6d6','key',560000,'2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000','request-6','https://queue.fal.run/requests/6/status','https://queue.fal.run/requests/6','https://queue.fal.run/requests/6/cancel',NULL,NULL,NULL,'cancelled','unknown',NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(8,6,1,2,'kling','queue.fal.run','{"prompt":"prompt 10"}','c44a0db38b6a62f933eae03d64b38d04da349c7294b29616d299dbc236d6ae8a','key',560000,'2026-03-01 12:02:30.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'unknown',NULL,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(9,7,1,2,'kling','queue.fal.run','{"prompt":"prompt 11"}','a40631bf3b30b895071a8dae7540309007125a65781716cd1cc1cfe645788d92','key',560000,'2026-03-01 12:02:30.000000','2026-03-01 12:02:30.000000',NULL,'request-7','https://queue.fal.run/requests/7/status','https://queue.fal.run/requests/7','https://queue.fal.run/requests/7/cancel',NULL,NULL,NULL,'accepted',NULL,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(10,8,1,2,'kling','queue.fal.run','{"prompt":"prompt 12"}','3aa7f2719b397930a6e1dd2ceb454fa0f73cb056a96cb7239576405c761fc742','key',560000,'2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000',NULL,'request-8','https://queue.fal.run/requests/8/status','https://queue.fal.run/requests/8','https://queue.fal.run/requests/8/cancel','https://v3.fal.media/clip.mp4',7,NULL,'generated','yes',NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(11,9,1,2,'kling','queue.fal.run','{"prompt":"prompt 13"}','6eb7115740ee8571e1790c3fbca1d5c599fcd69c9b5f661e2adb737577456060','key',560000,'2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000','request-9','https://queue.fal.run/requests/9/status','https://queue.fal.run/requests/9','https://queue.fal.run/requests/9/cancel','https://v3.fal.media/clip.mp4',7,NULL,'succeeded','yes',NULL,NULL,NULL);
INSERT INTO "attempts" VALUES(12,10,1,2,'kling','queue.fal.run','{"prompt":"prompt 14"}','a6b4352a25f6f03d5da9d3a1be616ac6100ce5063b374920032ebfb76b809303','key',560000,'2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000','request-10','https://queue.fal.run/requests/10/status','https://queue.fal.run/requests/10','https://queue.fal.run/requests/10/cancel',NULL,NULL,NULL,'failed','unknown',NULL,'broken','It broke.');
INSERT INTO "attempts" VALUES(13,12,1,2,'kling','queue.fal.run','{"prompt":"prompt 16"}','62acdaa25c316024f8251ce596a3af7fd57a1ef5e9476904250fb70009c13ee8','key',560000,'2026-03-01 12:02:50.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'open',NULL,NULL,NULL,NULL);
CREATE TABLE frames (
	path TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	ctime_ns BIGINT NOT NULL, 
	inode TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	facts JSON NOT NULL, 
	looker INTEGER NOT NULL, 
	CONSTRAINT pk_frames PRIMARY KEY (path)
);
INSERT INTO "frames" VALUES('/jobs/frames/a.png',12345,1760000000000000000,1760000000000000001,'4711','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"bytes":12345,"format":"PNG","width":1280,"height":720}',1);
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	endpoint TEXT NOT NULL, 
	prompt TEXT NOT NULL, 
	start_source TEXT NOT NULL, 
	start_sha256 VARCHAR(64), 
	end_source TEXT, 
	end_sha256 VARCHAR(64), 
	parameters JSON NOT NULL, 
	take INTEGER NOT NULL, 
	price_micro BIGINT NOT NULL, 
	priority INTEGER NOT NULL, 
	output_name TEXT NOT NULL, 
	output_folded TEXT NOT NULL, 
	state VARCHAR NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	tries INTEGER DEFAULT '0' NOT NULL, 
	fence INTEGER DEFAULT '0' NOT NULL, 
	leased_by INTEGER, 
	lease_until DATETIME, 
	not_before DATETIME, 
	error_type TEXT, 
	error_message TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT ck_jobs_final_is_finished CHECK ((state = 'succeeded' OR state = 'failed' OR state = 'cancelled') = (finished_at IS NOT NULL)), 
	CONSTRAINT ck_jobs_at_fal_has_attempt CHECK (attempt >= 1 OR NOT (state = 'submitting' OR state = 'uncertain' OR state = 'submitted' OR state = 'ready' OR state = 'succeeded')), 
	CONSTRAINT ck_jobs_failed_has_reason CHECK (error_type IS NOT NULL OR state <> 'failed'), 
	CONSTRAINT ck_jobs_submitting_is_leased CHECK (leased_by IS NOT NULL OR state <> 'submitting'), 
	CONSTRAINT ck_jobs_final_is_free CHECK (leased_by IS NULL OR NOT (state = 'succeeded' OR state = 'failed' OR state = 'cancelled')), 
	CONSTRAINT ck_jobs_state_known CHECK ((state = 'pending' OR state = 'submitting' OR state = 'uncertain' OR state = 'submitted' OR state = 'ready' OR state = 'succeeded' OR state = 'failed' OR state = 'cancelled')), 
	CONSTRAINT ck_jobs_lease_is_whole CHECK ((leased_by IS NULL) = (lease_until IS NULL)), 
	CONSTRAINT ck_jobs_end_is_whole CHECK (end_source IS NOT NULL OR end_sha256 IS NULL), 
	CONSTRAINT ck_jobs_key_is_digest CHECK (length(key) = 64), 
	CONSTRAINT ck_jobs_price_not_negative CHECK (price_micro >= 0), 
	CONSTRAINT ck_jobs_take_counts_from_one CHECK (take >= 1), 
	CONSTRAINT ck_jobs_counters CHECK (tries >= 0 AND tries <= attempt AND fence >= 0), 
	CONSTRAINT fk_jobs_leased_by_runs FOREIGN KEY(leased_by) REFERENCES runs (id), 
	CONSTRAINT uq_jobs_key UNIQUE ("key"), 
	CONSTRAINT uq_jobs_output_folded UNIQUE (output_folded)
);
INSERT INTO "jobs" VALUES(1,'eb4ac0912e4f5776f04ad63844d3d81db4e244d56bf73ac3f63a9b82a2d8ddb0','kling','prompt 2','/frames/2.png','0000000000000000000000000000000000000000000000000000000000000002',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-2','clip-2','failed',1,0,1,NULL,NULL,NULL,'broken','It broke.','2026-03-01 12:00:00.000000','2026-03-01 12:00:30.000000','2026-03-01 12:00:30.000000');
INSERT INTO "jobs" VALUES(2,'0d7b4827032853568e76fe70ee3340724af405d0cdfb4f0f78431c4eabbfb237','kling','prompt 3','/frames/3.png','0000000000000000000000000000000000000000000000000000000000000003',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-3','clip-3','failed',1,0,1,NULL,NULL,NULL,'broken','It broke.','2026-03-01 12:00:00.000000','2026-03-01 12:01:00.000000','2026-03-01 12:01:00.000000');
INSERT INTO "jobs" VALUES(3,'e33993a6cfb6f5d4ae05a7aefc37d553640cebd0a4eaa1d152f4194236c68eca','kling','prompt 4','/frames/4.png','0000000000000000000000000000000000000000000000000000000000000004',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-4','clip-4','failed',1,0,1,NULL,NULL,NULL,'broken','It broke.','2026-03-01 12:00:00.000000','2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000');
INSERT INTO "jobs" VALUES(4,'611f8c2aa15ed8d769db817a575c29a32fa45bb6dc5979efdc3756eef7c5ff2e','kling','prompt 5','/frames/5.png','0000000000000000000000000000000000000000000000000000000000000005',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-5','clip-5','succeeded',2,0,3,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:00:00.000000','2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000');
INSERT INTO "jobs" VALUES(5,'e3f1573b2c208eda06326b13f3ab1590ec61671eb890d0df4fb93fd59fa8b89c','kling','prompt 6','/frames/6.png','0000000000000000000000000000000000000000000000000000000000000006','/frames/e.png','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"duration":"5"}',1,560000,0,'clip-6','clip-6','cancelled',2,1,2,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:00:00.000000','2026-03-01 12:01:30.000000','2026-03-01 12:01:30.000000');
INSERT INTO "jobs" VALUES(6,'2d8f6648cece866199d3b1c2a45a2a86798f697f95fb0298713249a52b948725','kling','prompt 10','/frames/10.png','000000000000000000000000000000000000000000000000000000000000000a',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-10','clip-10','uncertain',1,0,1,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:30.000000',NULL);
INSERT INTO "jobs" VALUES(7,'052f1fb0779418ef295e2b420c47f4a00eaa92959b166e3d352e2c88d8e3992f','kling','prompt 11','/frames/11.png','000000000000000000000000000000000000000000000000000000000000000b',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-11','clip-11','submitted',1,0,1,NULL,NULL,'2026-03-01 12:02:50.000000',NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:30.000000',NULL);
INSERT INTO "jobs" VALUES(8,'23830264a189fe496ba7919b4ca05bec9637bf9a5d6946cc3f386dc980249621','kling','prompt 12','/frames/12.png','000000000000000000000000000000000000000000000000000000000000000c',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-12','clip-12','ready',1,0,1,2,'2026-03-01 12:03:50.000000',NULL,NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:50.000000',NULL);
INSERT INTO "jobs" VALUES(9,'89b8b1ebafd3c43d03667f70db2e4de9b172bf907c35afc4124883bc88e3a4f7','kling','prompt 13','/frames/13.png','000000000000000000000000000000000000000000000000000000000000000d',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-13','clip-13','succeeded',1,0,1,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000');
INSERT INTO "jobs" VALUES(10,'9bbb9c4b7755bcda34bf43a0fe1216487f3495a80335b2c90289e6e8e9f551db','kling','prompt 14','/frames/14.png','000000000000000000000000000000000000000000000000000000000000000e',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-14','clip-14','failed',1,0,1,NULL,NULL,NULL,'broken','It broke.','2026-03-01 12:02:30.000000','2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000');
INSERT INTO "jobs" VALUES(11,'5ba990faaf09e4a589c32547ae306fa82c784b33b349062d4f59032e9a7c2360','kling','prompt 15','/frames/15.png','000000000000000000000000000000000000000000000000000000000000000f',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-15','clip-15','cancelled',0,0,1,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:50.000000','2026-03-01 12:02:50.000000');
INSERT INTO "jobs" VALUES(12,'bcb4c573b376e7e7197207d0e0ed21f5b57c26bfd25fdf5fd434df846e1e676a','kling','prompt 16','/frames/16.png','0000000000000000000000000000000000000000000000000000000000000010',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-16','clip-16','submitting',1,0,1,2,'2026-03-01 12:03:50.000000',NULL,NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:50.000000',NULL);
INSERT INTO "jobs" VALUES(13,'5c5f81d2eef0cdb65bb260bf341c8c9ed2d6e57cd7c6b02812487ab85777e07f','kling','prompt 17','/frames/17.png','0000000000000000000000000000000000000000000000000000000000000011',NULL,NULL,'{"duration":"5"}',1,560000,0,'clip-17','clip-17','pending',0,0,0,NULL,NULL,NULL,NULL,NULL,'2026-03-01 12:02:30.000000','2026-03-01 12:02:30.000000',NULL);
CREATE TABLE manifests (
	id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	imported_at DATETIME NOT NULL, 
	row_count INTEGER NOT NULL, reading VARCHAR(64), retakes_of INTEGER, 
	CONSTRAINT pk_manifests PRIMARY KEY (id), 
	CONSTRAINT uq_manifests_path UNIQUE (path)
);
INSERT INTO "manifests" VALUES(1,'/jobs/manifest.csv','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','2026-03-01 12:00:00.000000',5,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',NULL);
INSERT INTO "manifests" VALUES(2,'/jobs/second.csv','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','2026-03-01 12:02:30.000000',8,NULL,NULL);
CREATE TABLE pauses (
	id INTEGER NOT NULL, 
	since DATETIME NOT NULL, 
	lifted_at DATETIME, 
	CONSTRAINT pk_pauses PRIMARY KEY (id)
);
INSERT INTO "pauses" VALUES(1,'2026-03-01 12:02:00.000000','2026-03-01 12:02:10.000000');
CREATE TABLE rows (
	manifest_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	take INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	job_id INTEGER NOT NULL, 
	start_image TEXT NOT NULL, 
	end_image TEXT NOT NULL, 
	tags JSON NOT NULL, 
	extra JSON NOT NULL, 
	CONSTRAINT pk_rows PRIMARY KEY (manifest_id, number, take), 
	CONSTRAINT fk_rows_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT fk_rows_manifest_id_manifests FOREIGN KEY(manifest_id) REFERENCES manifests (id), 
	CONSTRAINT uq_rows_manifest_id_position UNIQUE (manifest_id, position)
);
INSERT INTO "rows" VALUES(1,2,1,0,'clip 2',1,'2.png','','[]','{}');
INSERT INTO "rows" VALUES(1,3,1,1,'clip 3',2,'3.png','','[]','{}');
INSERT INTO "rows" VALUES(1,4,1,2,'clip 4',3,'4.png','','[]','{}');
INSERT INTO "rows" VALUES(1,5,1,3,'clip 5',4,'5.png','','[]','{}');
INSERT INTO "rows" VALUES(1,6,1,4,'clip 6',5,'6.png','e.png','[]','{}');
INSERT INTO "rows" VALUES(2,10,1,0,'clip 10',6,'10.png','','[]','{}');
INSERT INTO "rows" VALUES(2,11,1,1,'clip 11',7,'11.png','','[]','{}');
INSERT INTO "rows" VALUES(2,12,1,2,'clip 12',8,'12.png','','[]','{}');
INSERT INTO "rows" VALUES(2,13,1,3,'clip 13',9,'13.png','','[]','{}');
INSERT INTO "rows" VALUES(2,14,1,4,'clip 14',10,'14.png','','[]','{}');
INSERT INTO "rows" VALUES(2,15,1,5,'clip 15',11,'15.png','','[]','{}');
INSERT INTO "rows" VALUES(2,16,1,6,'clip 16',12,'16.png','','[]','{}');
INSERT INTO "rows" VALUES(2,17,1,7,'clip 17',13,'17.png','','[]','{}');
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	version TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	heartbeat_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	exit_code INTEGER, 
	note TEXT DEFAULT '' NOT NULL, 
	max_cost_micro BIGINT, 
	committed_micro BIGINT DEFAULT '0' NOT NULL, job TEXT, night DATE, asked TEXT, told_at DATETIME, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT ck_runs_within_max_cost CHECK (committed_micro >= 0 AND (max_cost_micro IS NULL OR committed_micro <= max_cost_micro))
);
INSERT INTO "runs" VALUES(1,'here',1,'0.1.0','2026-03-01 12:00:00.000000','2026-03-01 12:02:30.000000','2026-03-01 12:02:30.000000',1,'',20000000,2800000,'nightly','2026-03-01','manifest.csv','2026-03-01 12:02:31.000000');
INSERT INTO "runs" VALUES(2,'here',2,'0.1.0','2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000',NULL,NULL,'',NULL,3360000,NULL,NULL,NULL,NULL);
CREATE TABLE tweenbatch_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT tweenbatch_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "tweenbatch_version" VALUES ('0008');
CREATE TABLE uploads (
	sha256 VARCHAR(64) NOT NULL, 
	key_fingerprint TEXT NOT NULL, 
	url TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	uploaded_at DATETIME NOT NULL, 
	CONSTRAINT pk_uploads PRIMARY KEY (sha256, key_fingerprint)
);
INSERT INTO "uploads" VALUES('2222222222222222222222222222222222222222222222222222222222222222','key','https://v3.fal.media/a.png',9,'2026-03-01 12:01:30.000000');
CREATE INDEX ix_jobs_due ON jobs (state, priority DESC, id) WHERE finished_at IS NULL;
CREATE INDEX ix_jobs_leased ON jobs (leased_by) WHERE leased_by IS NOT NULL;
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_jobs_waiting ON jobs (state, not_before) WHERE not_before IS NOT NULL AND finished_at IS NULL;
CREATE INDEX ix_attempts_money ON attempts (billed, outcome, price_micro);
CREATE INDEX ix_attempts_started ON attempts (started_at, billed, price_micro);
CREATE INDEX ix_rows_job ON rows (job_id, manifest_id);
CREATE INDEX ix_artifacts_job ON artifacts (job_id);
CREATE INDEX ix_runs_night ON runs (job, night);
CREATE UNIQUE INDEX ix_manifests_retakes_of ON manifests (retakes_of);
ALTER TABLE manifests ADD COLUMN run_settings TEXT;
ALTER TABLE attempts ADD COLUMN unfetched_since DATETIME;
CREATE INDEX ix_attempts_video_url ON attempts (video_url) WHERE video_url IS NOT NULL;
