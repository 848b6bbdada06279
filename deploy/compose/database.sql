-- Makes a service's database, its login, and a login that reads all of it and changes nothing. A server runs this once,
-- on an empty volume: by itself it would make its superuser alone, as which no service should sign in.
\set ON_ERROR_STOP on
\getenv service SERVICE
\set password `cat /run/secrets/database-password`
\set reader :service _reader
\set reader_password `cat /run/secrets/reader-password`

CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE ROLE :"reader" LOGIN PASSWORD :'reader_password';
ALTER ROLE :"reader" SET default_transaction_read_only = on;
GRANT pg_read_all_data TO :"reader";

-- The built-in locale sorts and folds the same on every machine and for ever.
CREATE DATABASE :"service" OWNER :"service" TEMPLATE template0 ENCODING 'UTF8'
    LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';

-- By default every login may connect to every database; here each only to its own.
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO :"reader";
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
