-- finance.fct_charges in FOCUS 1.2 columns, in the specification's order, and Tollbook's own as x_ columns. Mended words:
-- - ProviderName and PublisherName, gone from FOCUS 1.3 on, are who bills and the ServiceProviderName
-- - a bill that names no PricingCurrency is priced in its billing currency: the same prices and cost, not others
-- - 0.5 to 1.0 said On-Demand for Standard, Commitment-Based or Commitment Discount for Committed; drafts said AI/ML
-- - a service without a category is Other, without a subcategory Other (its category); a region without a name is called its id
-- - what FOCUS wants empty (consumption of what is no use, type or name of no resource or region) stands in the x_ column
-- - text that is no JSON object is no Tags and no SkuPriceDetails; it stays in x_Tags, x_SkuPriceDetails
with charges as (
    select
        *,
        coalesce(pricing_currency, billing_currency) as priced_in,
        coalesce(pricing_currency, billing_currency) = billing_currency as priced_as_billed,
        case
            when service_category is null then 'Other'
            when lower(service_category) in ('ai/ml', 'ai & machine learning') then 'AI and Machine Learning'
            else service_category
        end as category,
        charge_category = 'Usage' and coalesce(commitment_discount_status, '') <> 'Unused' as is_consumption,
        coalesce(json_type(try_cast(tags as json)) = 'OBJECT', false) as has_tags,
        coalesce(json_type(try_cast(sku_price_details as json)) = 'OBJECT', false) as has_details
    from finance.fct_charges
    /* wanted */
)

select
    availability_zone as "AvailabilityZone",
    billed_cost as "BilledCost",
    billing_account_id as "BillingAccountId",
    billing_account_name as "BillingAccountName",
    billing_account_type as "BillingAccountType",
    billing_currency as "BillingCurrency",
    billing_period_end as "BillingPeriodEnd",
    billing_period_start as "BillingPeriodStart",
    capacity_reservation_id as "CapacityReservationId",
    capacity_reservation_status as "CapacityReservationStatus",
    charge_category as "ChargeCategory",
    charge_class as "ChargeClass",
    charge_description as "ChargeDescription",
    charge_frequency as "ChargeFrequency",
    charge_period_end as "ChargePeriodEnd",
    charge_period_start as "ChargePeriodStart",
    commitment_discount_category as "CommitmentDiscountCategory",
    commitment_discount_id as "CommitmentDiscountId",
    commitment_discount_name as "CommitmentDiscountName",
    commitment_discount_quantity as "CommitmentDiscountQuantity",
    commitment_discount_status as "CommitmentDiscountStatus",
    commitment_discount_type as "CommitmentDiscountType",
    commitment_discount_unit as "CommitmentDiscountUnit",
    case when is_consumption then consumed_quantity end as "ConsumedQuantity",
    case when is_consumption then consumed_unit end as "ConsumedUnit",
    contracted_cost as "ContractedCost",
    contracted_unit_price as "ContractedUnitPrice",
    effective_cost as "EffectiveCost",
    invoice_id as "InvoiceId",
    coalesce(invoice_issuer_name, billed_by) as "InvoiceIssuerName",
    list_cost as "ListCost",
    list_unit_price as "ListUnitPrice",
    case lower(pricing_category)
        when 'on-demand' then 'Standard'
        when 'commitment-based' then 'Committed'
        when 'commitment discount' then 'Committed'
        else pricing_category
    end as "PricingCategory",
    priced_in as "PricingCurrency",
    coalesce(pricing_currency_contracted_unit_price, case when priced_as_billed then contracted_unit_price end)
        as "PricingCurrencyContractedUnitPrice",
    coalesce(pricing_currency_effective_cost, case when priced_as_billed then effective_cost end) as "PricingCurrencyEffectiveCost",
    coalesce(pricing_currency_list_unit_price, case when priced_as_billed then list_unit_price end) as "PricingCurrencyListUnitPrice",
    pricing_quantity as "PricingQuantity",
    pricing_unit as "PricingUnit",
    billed_by as "ProviderName",
    coalesce(publisher_name, service_provider_name, billed_by) as "PublisherName",
    region_id as "RegionId",
    case when region_id is not null then coalesce(region_name, region_id) end as "RegionName",
    resource_id as "ResourceId",
    resource_name as "ResourceName",
    case when resource_id is not null then resource_type end as "ResourceType",
    category as "ServiceCategory",
    service_name as "ServiceName",
    coalesce(service_subcategory, 'Other (' || category || ')') as "ServiceSubcategory",
    sku_id as "SkuId",
    sku_meter as "SkuMeter",
    case when has_details then sku_price_details end as "SkuPriceDetails",
    sku_price_id as "SkuPriceId",
    sub_account_id as "SubAccountId",
    sub_account_name as "SubAccountName",
    sub_account_type as "SubAccountType",
    case when has_tags then tags end as "Tags",
    team as "x_Team",
    cost_centre as "x_CostCentre",
    owner_rule_id as "x_OwnerRuleId",
    currency_code as "x_ReportingCurrency",
    exchange_rate as "x_ExchangeRate",
    reporting_billed_cost as "x_ReportingBilledCost",
    reporting_effective_cost as "x_ReportingEffectiveCost",
    invoice_detail_id as "x_InvoiceDetailId",
    reference_invoice_id as "x_ReferenceInvoiceId",
    service_provider_name as "x_ServiceProviderName",
    host_provider_name as "x_HostProviderName",
    contract_applied as "x_ContractApplied",
    allocated_method_id as "x_AllocatedMethodId",
    allocated_method_details as "x_AllocatedMethodDetails",
    allocated_resource_id as "x_AllocatedResourceId",
    allocated_resource_name as "x_AllocatedResourceName",
    allocated_tags as "x_AllocatedTags",
    case when not is_consumption then consumed_quantity end as "x_ConsumedQuantity",
    case when not is_consumption then consumed_unit end as "x_ConsumedUnit",
    case when region_id is null then region_name end as "x_RegionName",
    case when resource_id is null then resource_type end as "x_ResourceType",
    case when not has_tags then tags end as "x_Tags",
    case when not has_details then sku_price_details end as "x_SkuPriceDetails",
    other_columns as "x_OtherColumns",
    source_name as "x_SourceName",
    file_name as "x_FileName",
    file_row as "x_FileRow"
from charges
