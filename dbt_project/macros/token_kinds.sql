{# What a request counts, by the columns of table `requests`; those of NULL are not reported, which is no count of 0. #}
{% macro token_columns() -%}
    {{ return(['input_tokens', 'cached_input_tokens', 'cache_write_tokens', 'cache_write_1h_tokens', 'output_tokens', 'reasoning_tokens',
        'input_audio_tokens', 'cached_input_audio_tokens', 'output_audio_tokens', 'input_image_tokens', 'output_image_tokens',
        'image_count', 'search_count']) }}
{%- endmacro %}

{#
  What each kind of price is for, of what a request counts: no token is of two kinds. Audio and images are parts of input and output, cached
  audio of cached input, writes for an hour of writes; reasoning is part of output.
#}
{% macro token_kinds() -%}
    {%- set n = {} -%}
    {%- for column in token_columns() %}{% do n.update({column: 'coalesce(' ~ column ~ ', 0)'}) %}{% endfor -%}
    {{ return({
        'input': n.input_tokens ~ ' - ' ~ n.cached_input_tokens ~ ' - ' ~ n.input_audio_tokens ~ ' - ' ~ n.input_image_tokens,
        'cached_input': n.cached_input_tokens ~ ' - ' ~ n.cached_input_audio_tokens,
        'cache_write_5m': n.cache_write_tokens ~ ' - ' ~ n.cache_write_1h_tokens,
        'cache_write_1h': n.cache_write_1h_tokens,
        'input_audio': n.input_audio_tokens,
        'cached_input_audio': n.cached_input_audio_tokens,
        'input_image': n.input_image_tokens,
        'output': n.output_tokens ~ ' - ' ~ n.reasoning_tokens ~ ' - ' ~ n.output_audio_tokens ~ ' - ' ~ n.output_image_tokens,
        'reasoning': n.reasoning_tokens,
        'output_audio': n.output_audio_tokens,
        'output_image': n.output_image_tokens,
    }) }}
{%- endmacro %}

{# A kind as these macros call it, of what a price list calls it. #}
{% macro token_kind_name(kind) -%}
    case lower(trim({{ kind }}))
        when 'cache_write' then 'cache_write_5m'
        when 'embedding' then 'input' -- an embedding model reads tokens and writes none
        else lower(trim({{ kind }}))
    end
{%- endmacro %}

{# Calls beside tokens: images made, searches, and requests for which a price list may have a fee. #}
{% macro call_kinds() -%}
    {{ return({'image': 'coalesce(image_count, 0)', 'search': 'coalesce(search_count, 0)', 'request': 'request_count'}) }}
{%- endmacro %}

{% macro priced_kinds() -%} {{ return(token_kinds().keys() | list + call_kinds().keys() | list) }} {%- endmacro %}

{# Columns `<kind>_units`: how much of each kind a row of requests or of int_token_days has. An answer from a cache of answers asked no model. #}
{% macro units_of_kinds() -%}
    {%- for kinds in [token_kinds(), call_kinds()] %}{% for kind, count in kinds.items() %}
        case when is_cached then 0 else {{ count }} end as {{ kind }}_units{{ ',' if not loop.last }}
    {%- endfor %}{{ ',' if not loop.last }}{% endfor %}
{%- endmacro %}

{# The condition that usage has the prices of a row of int_token_prices: all that a price depends on beside the kind. #}
{% macro same_prices(usage, prices) -%}
    {{ usage }}.usage_date = {{ prices }}.usage_date
    {%- for column in ['provider', 'model', 'service_tier', 'priced_region', 'priced_quantity_from', 'priced_at'] %}
    and {{ usage }}.{{ column }} is not distinct from {{ prices }}.{{ column }}
    {%- endfor %}
{%- endmacro %}

{#
  True where so much of a kind is used without a price. A fee per request is one that most books do not have; images that a model makes
  are paid by the image or by the token.
#}
{% macro lacks_price(kind) -%}
    {%- if kind == 'request' -%} false
    {%- elif kind == 'image' -%} coalesce(image_units > 0 and image_price is null and output_image_price is null, false)
    {%- else -%} coalesce({{ kind }}_units > 0 and {{ kind }}_price is null, false)
    {%- endif -%}
{%- endmacro %}
