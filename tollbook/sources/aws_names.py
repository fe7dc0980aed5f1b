"""What AWS calls things, in FOCUS's words: service categories, kinds of line, models and tokens of Amazon Bedrock."""

from __future__ import annotations

from tollbook.sources.typing import text

#: lineItem/LineItemType by FOCUS charge category; what is not named here is an Adjustment (Refund, and what AWS adds later).
CATEGORIES = {
    "Usage": ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage", "SavingsPlanNegation"),
    "Purchase": ("Fee", "RIFee", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee", "FlatRateSubscription"),
    "Tax": ("Tax",),
    "Credit": ("Credit", "Discount", "BundledDiscount", "EdpDiscount", "PrivateRateDiscount", "RiVolumeDiscount", "SppDiscount"),
}

_SERVICES = {
    "AI and Machine Learning": "AmazonBedrock AmazonBedrockService AmazonBedrockFoundationModels AmazonBedrockAgentCore AmazonSageMaker"
    " AmazonRekognition AmazonTextract AmazonComprehend ComprehendMedical AmazonPolly AmazonTranscribe transcribe translate AmazonLex"
    " AmazonPersonalize AmazonKendra AmazonQ AmazonForecast AmazonFraudDetector",
    "Analytics": "AmazonAthena AmazonRedshift ElasticMapReduce AWSGlue AmazonKinesis AmazonKinesisFirehose AmazonKinesisAnalytics"
    " AmazonQuickSight AmazonES AWSLakeFormation AmazonMSK",
    "Compute": "AmazonEC2 AWSLambda AmazonECS AmazonEKS AmazonLightsail AWSElasticBeanstalk AmazonECR AWSBatch ComputeSavingsPlans"
    " AWSAppRunner AWSOutposts AmazonECRPublic AWSParallelComputingService",
    "Databases": "AmazonRDS AmazonDynamoDB AmazonElastiCache AmazonDocDB AmazonNeptune AmazonMemoryDB AmazonTimestream"
    " AmazonSimpleDB AmazonMCS AmazonDAX AmazonQLDB",
    "Developer Tools": "AWSCodeBuild CodeBuild AWSCodePipeline AWSCodeCommit AWSCodeArtifact AWSCodeDeploy AWSXRay",
    "Identity": "AmazonCognito AWSIAMAccessAnalyzer AWSDirectoryService",
    "Integration": "AWSQueueService AmazonSNS AWSEvents AmazonStates AmazonMQ AWSAppSync AmazonApiGateway AmazonSWF",
    "Management and Governance": "AmazonCloudWatch AWSCloudTrail AWSConfig AWSSystemsManager AWSCostExplorer"
    " AWSCloudFormation AWSServiceCatalog AmazonGrafana AmazonPrometheus AWSTrustedAdvisor",
    "Networking": "AmazonVPC AmazonCloudFront AmazonRoute53 AWSELB AWSDirectConnect AWSDataTransfer AWSGlobalAccelerator"
    " AWSTransitGateway AWSNetworkFirewall",
    "Security": "awskms AWSSecretsManager awswaf AmazonGuardDuty AmazonInspector AmazonInspectorV2 AmazonMacie AWSSecurityHub"
    " AWSShield AWSCertificateManager AmazonDetective",
    "Storage": "AmazonS3 AmazonEFS AmazonFSx AmazonGlacier AmazonS3GlacierDeepArchive AWSStorageGateway AWSBackup AWSDataSync"
    " AmazonEBS AWSSnowball",
    "Business Applications": "AmazonConnect AmazonSES AmazonPinpoint AmazonWorkDocs AmazonWorkMail AmazonChime",
    "End User Computing": "AmazonWorkSpaces AmazonAppStream",
    "Internet of Things": "AWSIoT AWSGreengrass AWSIoTAnalytics",
    "Media": "AWSElementalMediaConvert AWSElementalMediaLive AmazonIVS AmazonKinesisVideo",
    "Migration": "AWSDatabaseMigrationSvc AWSTransfer AWSMigrationHub",
}

# families that say more than the service: EC2 bills disks and traffic too
_FAMILIES = {
    "Networking": ("Data Transfer", "NAT Gateway", "Load Balancer", "Load Balancer-Application", "Load Balancer-Network", "IP Address"),
    "Storage": ("Storage", "Storage Snapshot", "System Operation", "Provisioned Throughput"),
}

_DIRECT = "^(?:[A-Z]{2,4}[0-9]?-)?(.+?)(?:-mantle)?-(cache-read-input|cache-write-input|input|output)-(?:tokens?|token-count|text-token)"
_RESOLD = "(CacheRead|CacheWrite|Input|Output)[A-Za-z0-9]*TokenCount"


def charge_category(kind: str) -> str:
    """SQL of the FOCUS charge category of a line item type."""
    return _case(kind, CATEGORIES, "'Adjustment'")


def service_categories() -> str:
    """SQL of a relation (product_code, service_category)."""
    pairs = [(code, category) for category, codes in _SERVICES.items() for code in codes.split()]
    return (
        f"(values {', '.join(f'({text(code)}, {text(category)})' for code, category in pairs)}) as services(product_code, service_category)"
    )


def service_category(family: str, bedrock: str, by_code: str) -> str:
    """SQL of the FOCUS service category, from the product family, whether it is Bedrock, and the product code's category."""
    by_family = _case(family, _FAMILIES, f"coalesce({by_code}, 'Other')")
    return f"case when {bedrock} then 'AI and Machine Learning' else {by_family} end"


def is_bedrock(code: str, product: str) -> str:
    """SQL: the line is of Amazon Bedrock, billed by AWS or through its Marketplace."""
    return f"({code} like 'AmazonBedrock%' or {product} like '%Bedrock%')"


def model(usage_type: str, product: str) -> str:
    """SQL of the model's name: of the usage type (USE1-NovaLite-input-tokens), else of the Marketplace product."""
    resold = f"nullif(trim(regexp_replace({product}, '\\s*\\(Amazon Bedrock Edition\\)', '')), 'Amazon Bedrock')"
    return (
        f"case when regexp_matches({usage_type}, '{_RESOLD}') then {resold}"
        f" else nullif(regexp_extract({usage_type}, '{_DIRECT}', 1), '') end"
    )


def token_type(usage_type: str) -> str:
    """SQL of what is counted: input, output, cached_input or cache_write."""
    found = f"coalesce(nullif(regexp_extract({usage_type}, '{_DIRECT}', 2), ''), regexp_extract({usage_type}, '{_RESOLD}', 1))"
    names = {"input": "input", "output": "output", "cached_input": "cache-read-input", "cache_write": "cache-write-input"}
    resold = {"input": "Input", "output": "Output", "cached_input": "CacheRead", "cache_write": "CacheWrite"}
    return _case(found, {name: (names[name], resold[name]) for name in names}, "null")


def _case(value: str, groups: dict[str, tuple[str, ...]], otherwise: str) -> str:
    whens = " ".join(f"when {value} in ({', '.join(map(text, names))}) then {text(group)}" for group, names in groups.items())
    return f"case {whens} else {otherwise} end"
