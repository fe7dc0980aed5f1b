-- One row per commitment of a contract, as last updated.
select *
from {{ source('raw', 'contract_commitments') }}
qualify row_number() over (
    partition by provider, commitment_id order by updated_at desc nulls last, created_at desc nulls last, file_name desc, file_row desc
) = 1
