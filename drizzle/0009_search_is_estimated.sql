-- How many names hold three letters decides how a search is done: PostgreSQL's usual sample of a hundred names takes one in
-- two hundred for one in ten thousand, and sorts thousands of rows for a page. Reckoned anew with the next `analyze`.
alter table patients alter column search set statistics 1000;
