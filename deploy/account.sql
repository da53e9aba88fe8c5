-- The role of the service account: it owns its database, and may do nothing else.
\getenv password DATABASE_PASSWORD
CREATE ROLE account LOGIN PASSWORD :'password';
CREATE DATABASE account OWNER account;
REVOKE CONNECT, TEMPORARY ON DATABASE account FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
