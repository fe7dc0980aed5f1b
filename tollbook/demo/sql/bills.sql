-- What the bills are made of; run once a day, after requests.sql. Variables: day, billing_lines_per_day.
create table if not exists focus_columns (
    BillingAccountId varchar, SubAccountId varchar, BillingPeriodStart timestamp, BillingPeriodEnd timestamp,
    ChargePeriodStart timestamp, ChargePeriodEnd timestamp, ChargeCategory varchar, ChargeClass varchar, ChargeDescription varchar,
    ChargeFrequency varchar, BilledCost decimal(24, 12), EffectiveCost decimal(24, 12), ListCost decimal(24, 12),
    ContractedCost decimal(24, 12), BillingCurrency varchar, PricingCategory varchar, PricingQuantity decimal(24, 12),
    PricingUnit varchar, ConsumedQuantity decimal(24, 12), ConsumedUnit varchar, ListUnitPrice decimal(24, 12), ProviderName varchar,
    PublisherName varchar, InvoiceIssuerName varchar, InvoiceId varchar, ServiceName varchar, ServiceCategory varchar,
    SkuId varchar, SkuPriceId varchar, SkuPriceDetails varchar, ResourceId varchar, ResourceName varchar, ResourceType varchar, RegionId varchar,
    CommitmentDiscountId varchar, CommitmentDiscountCategory varchar, CommitmentDiscountType varchar,
    CommitmentDiscountStatus varchar, Tags varchar
);

-- whole numbers times decimals get a type that holds few decimals: bills name theirs
create or replace macro usd(amount) as amount::decimal(24, 12);

create or replace macro charge_day() as getvariable('start') + getvariable('day')::integer;

-- Invoices are issued of months that the world has every day of.
create table if not exists invoiced_months as
select first_day::date as first_day, day(last_day(first_day)) as day_count, first_day::date - getvariable('start') as first_number
from generate_series(
    date_trunc('month', getvariable('start')), getvariable('start') + getvariable('days')::integer, interval 1 month
) as months (first_day)
where first_number >= 0 and first_number + day_count <= getvariable('days');

-- the columns that all lines of a provider's day share; the number of an invoice only where it has been issued, and NULL of own servers
create or replace macro of_the_day(provider, invoice_prefix) as table
select
    provider as ProviderName,
    provider as PublisherName,
    provider as InvoiceIssuerName,
    (
        select invoice_prefix || strftime(first_day, '-%Y-%m')
        from invoiced_months
        where first_day = date_trunc('month', charge_day())
    ) as InvoiceId,
    'USD' as BillingCurrency,
    date_trunc('month', charge_day())::timestamp as BillingPeriodStart,
    date_trunc('month', charge_day())::timestamp + interval 1 month as BillingPeriodEnd;

-- the plan for the A10 nodes is paid for a month ahead
create or replace macro is_plan_bought() as day(charge_day()) = 1 or getvariable('day') = 0;

-- all lines but those of nodes, plan, support, tax, credit (four a day, and the plan's), vendor tokens and own servers
set variable direct_lines = (
    select
        getvariable('billing_lines_per_day') - 4 - is_plan_bought()::bigint - 24 * 6
        - sum(case pool when 'h100' then 24 when 'a10' then 24 when 'a100' then 2 else 1 end)::bigint
    from nodes
);

-- Everything else that a cloud sells: each resource has one owner, or none at all (`team` is NULL).
create or replace view direct_lines as
with drawn as (
    select
        number,
        number % (getvariable('billing_lines_per_day') // 10) as resource,
        draw('resource', 0, resource) as owner_draw,
        draw('line', getvariable('day'), number) as cost_draw
    from range(getvariable('direct_lines')) as numbered (number)
)

select
    number,
    number * 24 // getvariable('direct_lines') as hour,
    resource,
    case when owner_draw % 25 <> 0 then some_team(owner_draw >> 8) end as team,
    (1 + (owner_draw >> 56) % 6)::bigint as service,
    -- up to a dollar, with eleven decimals
    (((cost_draw % 100000) * ((cost_draw >> 20) % 100000))::decimal(18, 0) * 0.00000000001::decimal(11, 11))::decimal(24, 12) as cost,
    cost_draw >> 40 as tag_draw
from drawn;

insert into direct_costs
select getvariable('day') as day, coalesce(team, 'unowned') as team, sum(cost) as cost
from direct_lines
group by all;
