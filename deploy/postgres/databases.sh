#!/bin/bash
# Run once by the postgres image, on an empty data folder: a database and a user of its own for each of the three.
# UTF8 is said, because text of another encoding reaches psycopg 3 as bytes.
for name in dagster mlflow serving; do
  psql --no-psqlrc -v ON_ERROR_STOP=1 -v name="$name" --username "${POSTGRES_USER:-postgres}" --dbname postgres <<EOSQL
\getenv password ${name^^}_DB_PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
EOSQL
done
