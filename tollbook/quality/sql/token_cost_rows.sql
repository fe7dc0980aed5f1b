-- One row: requests, and the mart's rows.
select (select count(*) from raw.requests) as input_rows, (select count(*) from product.fct_token_costs) as mart_rows
