-- One row: requests that are not of a vendor's own log, and the mart's rows.
select
    (
        select count(*) from raw.requests
        where source_name not in (select source_name from config.sources where is_vendor_log)
    ) as input_rows,
    (select count(*) from product.fct_token_costs) as mart_rows
