{# An amount rounded to the smallest coin of its currency: 0 digits for yen and the like, 3 for dinars, else cents (ISO 4217). #}
{% macro round_to_coin(amount, currency) -%}
    case
        when {{ currency }} in (
            'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) then round({{ amount }}, 0)::decimal(38, 20)
        when {{ currency }} in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then round({{ amount }}, 3)::decimal(38, 20)
        else round({{ amount }}, 2)::decimal(38, 20)
    end
{%- endmacro %}
