-- $1 release, $2 json, $3 markdown.
insert into report (release, json, markdown) values ($1, $2, $3)
on conflict (release) do update set json = excluded.json, markdown = excluded.markdown;
